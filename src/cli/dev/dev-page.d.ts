/** `page/` as one HTML document, bundled by `scripts/dev-page.mjs`. */
declare module 'virtual:dev-page' {
  const html: string;
  export default html;
}
