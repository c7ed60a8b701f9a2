;; Reads memory as the engine reads weights: the roofline of an engine whose every token reads every weight once.
(module
  (import "env" "memory" (memory 1 65536))

  ;; Xors `bytes` bytes at `p` (a multiple of 128 bytes) and returns 32 bits of it, so that no load can be left out. Two runs side by side, from the two halves, as the
  ;; kernel of one token reads a thread's share of a matrix. On Zen 5 one run took 1.15 times, four runs of a page each 1.8 times as long.
  (func (export "read") (param $p i32) (param $bytes i32) (result i32)
    (local $end i32) (local $q i32) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $p) (i32.shr_u (local.get $bytes) (i32.const 1))))
    (local.set $q (local.get $end))
    (loop $next
      (local.set $a (v128.xor (local.get $a) (v128.xor (v128.load (local.get $p)) (v128.load (local.get $q)))))
      (local.set $b (v128.xor (local.get $b) (v128.xor (v128.load offset=16 (local.get $p)) (v128.load offset=16 (local.get $q)))))
      (local.set $c (v128.xor (local.get $c) (v128.xor (v128.load offset=32 (local.get $p)) (v128.load offset=32 (local.get $q)))))
      (local.set $d (v128.xor (local.get $d) (v128.xor (v128.load offset=48 (local.get $p)) (v128.load offset=48 (local.get $q)))))
      (local.set $p (i32.add (local.get $p) (i32.const 64)))
      (local.set $q (i32.add (local.get $q) (i32.const 64)))
      (br_if $next (i32.lt_u (local.get $p) (local.get $end))))
    (i32x4.extract_lane 0 (v128.xor (v128.xor (local.get $a) (local.get $b)) (v128.xor (local.get $c) (local.get $d))))))
