/** A `Data` module of the Worker's bundle (the rule is in wrangler.toml). */
declare module '*.onnx' {
  const bytes: ArrayBuffer;
  export default bytes;
}
