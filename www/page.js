// The page around the element: the samples.

import './rrsis-segment.js';

const element = document.querySelector('rrsis-segment');
const list = document.querySelector('.samples');
const folder = new URL('./samples/', import.meta.url);

const response = await fetch(new URL('samples.json', folder));
for (const sample of response.ok ? await response.json() : []) {
  const button = document.createElement('button');
  button.type = 'button';
  const image = Object.assign(document.createElement('img'), {
    src: new URL(sample.file, folder).href,
    alt: '',
    loading: 'lazy',
    width: 320,
    height: 240,
  });
  const title = Object.assign(document.createElement('span'), { textContent: sample.title });
  const origin = Object.assign(document.createElement('small'), { textContent: sample.attribution });
  button.append(image, title, origin);
  button.addEventListener('click', () => {
    element.src = image.src;
    element.expression = sample.expressions[0];
    element.scrollIntoView({ block: 'nearest', behavior: 'instant' });
  });
  const item = document.createElement('li');
  item.append(button);
  list.append(item);
}
