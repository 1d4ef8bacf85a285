/** Any other part of the service, with Next.js's own body parser. */
export default function handler(req, res) {
  res.json({ ordered: req.body });
}
