import { trustedHtml } from "../lib/trusted.js";

/** The element's own document; every text that varies is filled in with textContent. */
export const TEMPLATE = document.createElement("template");
TEMPLATE.innerHTML = trustedHtml(`
<section class="frame" part="frame" aria-label="Segment an image by description">
  <div class="stage" part="stage">
    <svg class="contours" viewBox="0 0 800 400" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <g fill="none" stroke="currentColor">
        <path d="M-20 300C80 250 120 330 220 290S360 150 470 190s150 120 360 40"/>
        <path d="M-20 260C90 205 130 285 225 245S365 105 480 150s150 110 350 30"/>
        <path d="M-20 218C100 160 140 235 232 198S372 62 490 108s150 98 340 18"/>
        <path d="M-20 172C105 118 150 186 240 150S380 22 500 66s150 84 330 4"/>
        <path d="M-20 342C70 300 110 374 212 336S350 200 462 234s152 132 368 56"/>
        <path d="M-20 386C60 350 100 420 205 382S342 250 455 280s155 142 375 74"/>
        <path d="M600 330c26-32 96-34 112-2s-24 62-66 60-72-26-46-58z"/>
        <path d="M622 336c16-20 58-20 68-2s-14 38-40 36-44-16-28-34z"/>
        <path d="M70 60c24-30 92-30 104 0s-26 56-64 54-64-26-40-54z"/>
        <path d="M94 66c12-16 50-16 58 0s-14 32-36 30-34-14-22-30z"/>
      </g>
    </svg>
    <div class="empty" part="empty">
      <p class="invite">Drop a satellite or aerial image here</p>
      <p class="ways">
        <button type="button" class="choose" part="button choose-button">Choose an image</button>
        <span class="or">or paste one, or</span>
        <button type="button" class="by-address quiet" part="button" aria-expanded="false">open a web address</button>
      </p>
      <form class="address" hidden novalidate>
        <label class="visually-hidden" for="address">Address of an image</label>
        <input id="address" type="url" inputmode="url" placeholder="https://…/image.jpg" autocomplete="off">
        <button type="submit" class="quiet" part="button">Open</button>
      </form>
      <div class="samples" part="samples"><slot name="samples"></slot></div>
    </div>
    <button type="button" class="poster" part="poster" hidden><img alt=""><span class="poster-text">Try it on this image</span></button>
    <div class="view" part="view" tabindex="0" role="application" aria-label="Image" aria-describedby="keys" hidden>
      <p class="visually-hidden" id="keys">Plus and minus zoom, 0 shows the whole image. Arrow keys move a point and tell the probability under it; with Shift they move it pixel by pixel.</p>
      <div class="layers" role="img">
        <canvas class="picture"></canvas>
        <canvas class="fill"></canvas>
        <canvas class="outline"></canvas>
        <i class="point" hidden></i>
        <input class="swipe" type="range" min="0" max="100" value="50" aria-label="Masks shown to the right of" hidden>
      </div>
      <output class="readout" aria-hidden="true" hidden></output>
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" class="zoom-out" part="button" aria-label="Zoom out">−</button>
        <button type="button" class="zoom-fit" part="button" aria-label="Fit the whole image">Fit</button>
        <button type="button" class="zoom-in" part="button" aria-label="Zoom in">+</button>
      </div>
      <button type="button" class="replace" part="button replace-button">Another image</button>
    </div>
    <div class="drop-hint" aria-hidden="true">Drop to open</div>
  </div>

  <form class="ask" part="form" novalidate>
    <label class="visually-hidden" for="expression">What to find in the image</label>
    <input id="expression" class="expression" part="input" type="text" name="expression"
      placeholder="For example: building" autocomplete="off" autocapitalize="off"
      spellcheck="false" enterkeyhint="go" list="choices" aria-describedby="message note">
    <datalist id="choices"></datalist>
    <button type="submit" class="run" part="button run-button">Find</button>
  </form>
  <div class="suggestions" part="suggestions" role="group" aria-label="Suggestions"></div>

  <div class="progress" part="progress" hidden>
    <div class="bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"><i></i></div>
    <span class="progress-text"></span>
  </div>
  <p class="message" id="message" part="message" role="alert" hidden></p>
  <p class="note" id="note" part="note" hidden></p>

  <div class="result" part="result" hidden>
    <p class="summary"></p>
    <ul class="legend" part="legend" aria-label="Found in the image, the topmost first"></ul>
    <div class="controls" part="controls">
      <label class="control">Opacity <input class="opacity" type="range" min="0" max="100" value="50"></label>
      <label class="control" title="A pixel is taken where its probability is higher">Threshold
        <input class="threshold" type="range" min="2" max="98" value="50"><span class="threshold-value" aria-hidden="true"></span></label>
      <label class="control">Show <select class="drawing">
        <option value="both">fill and outline</option><option value="fill">fill</option><option value="outline">outline</option>
      </select></label>
      <label class="control">One pixel is <input class="gsd" type="number" min="0.001" max="10000" step="any" inputmode="decimal" placeholder="?"> m</label>
      <button type="button" class="compare quiet" part="button" aria-pressed="false">Compare</button>
      <details class="save">
        <summary part="button">Save</summary>
        <div class="menu" role="group" aria-label="Save">
          <button type="button" data-save="mask">Mask, PNG</button>
          <button type="button" data-save="overlay">Picture with masks, PNG</button>
          <button type="button" data-save="geojson">Outlines, GeoJSON</button>
          <button type="button" data-save="geotiff" hidden>Mask, GeoTIFF</button>
          <button type="button" data-save="copy">Copy the picture</button>
        </div>
      </details>
    </div>
  </div>
  <p class="attribution" part="attribution" hidden></p>
  <p class="visually-hidden" role="status" aria-live="polite" id="announcer"></p>
  <input class="file" type="file" hidden
    accept="image/*,.png,.jpg,.jpeg,.webp,.bmp,.gif,.tif,.tiff,.avif">
</section>`);
