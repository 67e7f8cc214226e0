import { describeModel } from "./page/model.js";
import { linkToResults, restoreFromLink } from "./page/link.js";
import { keepForOffline, showStorage } from "./page/storage.js";

const element = document.querySelector("rrsis-segment");
linkToResults(element);
customElements.whenDefined("rrsis-segment").then(() => restoreFromLink(element));

describeModel().catch(() => {
  // The page says enough without it.
});

const storage = { text: document.getElementById("kept"), button: document.getElementById("clear") };
showStorage(storage).then((refresh) => element.addEventListener("result", () => setTimeout(refresh, 1000)));
// After the page itself: nobody waits for it.
addEventListener("load", () => setTimeout(keepForOffline, 0));
