/** In a Worker, importing a `.wasm` gives the compiled module: workerd refuses to compile WebAssembly from bytes. */
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
