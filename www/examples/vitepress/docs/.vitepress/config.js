export default {
  title: "Widget in VitePress",
  // The package lies in docs/public/rrsis/: copied as it is, never bundled.
  srcExclude: ["public/**"],
  head: [["script", { type: "module", src: "/rrsis/rrsis-segment.js" }]],
  vue: { template: { compilerOptions: { isCustomElement: (tag) => tag === "rrsis-segment" } } },
};
