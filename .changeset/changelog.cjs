/** The lines of one changeset in CHANGELOG.md, without addresses and hashes, for which one would have to ask a host. */
module.exports = {
  getReleaseLine: async ({ summary }) => (/^[-*] /.test(summary) ? summary : `- ${summary.replaceAll('\n', '\n  ')}`),
  // There is one package, and none in it that depends on another.
  getDependencyReleaseLine: async () => '',
};
