;; Reads memory as fast as WebAssembly can: the roofline of an engine whose every token reads every weight once.
;; Both functions xor `bytes` bytes at `p` (a multiple of 16 KiB) and return 32 bits of it, so that no load can be left out.
(module
  (import "env" "memory" (memory 1 65536))

  ;; From front to back.
  (func (export "readOne") (param $p i32) (param $bytes i32) (result i32)
    (local $end i32) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $p) (local.get $bytes)))
    (loop $next
      (local.set $a (v128.xor (local.get $a) (v128.xor (v128.load (local.get $p)) (v128.load offset=64 (local.get $p)))))
      (local.set $b (v128.xor (local.get $b) (v128.xor (v128.load offset=16 (local.get $p)) (v128.load offset=80 (local.get $p)))))
      (local.set $c (v128.xor (local.get $c) (v128.xor (v128.load offset=32 (local.get $p)) (v128.load offset=96 (local.get $p)))))
      (local.set $d (v128.xor (local.get $d) (v128.xor (v128.load offset=48 (local.get $p)) (v128.load offset=112 (local.get $p)))))
      (local.set $p (i32.add (local.get $p) (i32.const 128)))
      (br_if $next (i32.lt_u (local.get $p) (local.get $end))))
    (i32x4.extract_lane 0 (v128.xor (v128.xor (local.get $a) (local.get $b)) (v128.xor (local.get $c) (local.get $d)))))

  ;; Four runs of memory side by side, a page apart: what a kernel that takes four row groups at once does.
  (func (export "readFour") (param $p i32) (param $bytes i32) (result i32)
    (local $end i32) (local $stop i32) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $p) (local.get $bytes)))
    (loop $block
      (local.set $stop (i32.add (local.get $p) (i32.const 4096)))
      (loop $next
        (local.set $a (v128.xor (local.get $a) (v128.xor (v128.load (local.get $p)) (v128.load offset=16 (local.get $p)))))
        (local.set $b (v128.xor (local.get $b) (v128.xor (v128.load offset=4096 (local.get $p)) (v128.load offset=4112 (local.get $p)))))
        (local.set $c (v128.xor (local.get $c) (v128.xor (v128.load offset=8192 (local.get $p)) (v128.load offset=8208 (local.get $p)))))
        (local.set $d (v128.xor (local.get $d) (v128.xor (v128.load offset=12288 (local.get $p)) (v128.load offset=12304 (local.get $p)))))
        (local.set $p (i32.add (local.get $p) (i32.const 32)))
        (br_if $next (i32.lt_u (local.get $p) (local.get $stop))))
      (local.set $p (i32.add (local.get $p) (i32.const 12288)))
      (br_if $block (i32.lt_u (local.get $p) (local.get $end))))
    (i32x4.extract_lane 0 (v128.xor (v128.xor (local.get $a) (local.get $b)) (v128.xor (local.get $c) (local.get $d))))))
