/** Files as text: esbuild's loader and Vite's suffix. */
declare module '*.html?raw' {
  const text: string;
  export default text;
}
