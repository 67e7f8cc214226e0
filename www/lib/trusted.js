/**
 * Trusted Types: pages that enforce them allow the policy "rrsis-segment" in their
 * Content-Security-Policy. Only constants of this package and addresses of its own files pass here.
 */
const policy = globalThis.trustedTypes?.createPolicy("rrsis-segment", {
  createHTML: (html) => html,
  createScriptURL: (url) => url,
});

/** @param {string} html a constant */
export const trustedHtml = (html) => policy?.createHTML(html) ?? html;

/** @param {string} url of a file of this package */
export const trustedScriptUrl = (url) => policy?.createScriptURL(url) ?? url;
