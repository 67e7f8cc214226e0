/** The element's own document; every text that varies is filled in with textContent. */
export const TEMPLATE = document.createElement("template");
TEMPLATE.innerHTML = `
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
        <span class="or">or paste one</span>
      </p>
      <div class="samples" part="samples"><slot name="samples"></slot></div>
    </div>
    <div class="view" part="view" hidden>
      <div class="layers" role="img">
        <canvas class="picture"></canvas>
        <canvas class="fill"></canvas>
        <canvas class="outline"></canvas>
      </div>
      <p class="no-preview" hidden></p>
      <button type="button" class="replace" part="button replace-button">Another image</button>
    </div>
    <div class="drop-hint" aria-hidden="true">Drop to open</div>
  </div>

  <form class="ask" part="form" novalidate>
    <label class="visually-hidden" for="expression">What to find in the image</label>
    <input id="expression" class="expression" part="input" type="text" name="expression"
      placeholder="What to find, for example: building" autocomplete="off" autocapitalize="off"
      spellcheck="false" enterkeyhint="go" aria-describedby="message note">
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
    <div class="controls">
      <label class="control">Colour <input class="color" type="color"></label>
      <label class="control">Opacity <input class="opacity" type="range" min="0" max="100" value="50"></label>
      <button type="button" class="toggle quiet" part="button" aria-pressed="true">Mask</button>
      <button type="button" class="save quiet" part="button">Save mask</button>
    </div>
  </div>
  <p class="attribution" part="attribution" hidden></p>
  <p class="visually-hidden" role="status" aria-live="polite" id="announcer"></p>
  <input class="file" type="file" hidden
    accept="image/*,.png,.jpg,.jpeg,.webp,.bmp,.gif,.tif,.tiff,.avif">
</section>`;
