// The body of a function that runs in a page and returns what is wrong with its look, as lines:
// text or placeholders with a contrast below 4.5, targets below 44 pixels on a touch screen,
// fields and buttons without a visible focus ring, and a page wider than its window.
// Disabled controls are exempt, as in WCAG. arg is { touch }.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function rgba(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
function background(element) {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
}
function opacity(element) {
  let all = 1;
  for (let e = element; e; e = e.parentElement) all *= getComputedStyle(e).opacity;
  return all;
}
function luminance([r, g, b]) {
  const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}
const visible = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0 && !e.closest(".hidden");
const name = (e) => `${e.localName}${e.id ? "#" + e.id : ""}${e.className ? "." + String(e.className).replaceAll(" ", ".") : ""}`;

document.activeElement?.blur(); // focus() would not change what a click has focused
for (const a of document.getAnimations()) if (a.effect.getComputedTiming().endTime !== Infinity) a.finish();
const found = new Set();
if (document.documentElement.scrollWidth > innerWidth) found.add(`the page is ${document.documentElement.scrollWidth} pixels wide in a window of ${innerWidth}`);
for (const e of document.body.querySelectorAll("*")) {
  if (!visible(e) || e.closest("[disabled], template, noscript, option, datalist")) continue;
  const texts = [];
  if ([...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())) texts.push(["text", getComputedStyle(e).color]);
  if (e.placeholder && !e.value) texts.push(["placeholder", getComputedStyle(e, "::placeholder").color]);
  for (const [what, color] of texts) {
    const under = background(e);
    const [r, g, b, a] = rgba(color);
    const c = contrast(over([r, g, b, a * opacity(e)], under), under);
    if (c < 4.5) found.add(`${what} of ${name(e)} has a contrast of ${c.toFixed(2)}`);
  }
}
for (const e of document.querySelectorAll("button, input:not([type=hidden]), textarea, select, a[href]")) {
  if (!visible(e) || e.disabled) continue;
  const box = e.getBoundingClientRect();
  const inText = e.localName === "a" && e.closest("p, li .text") && getComputedStyle(e).display === "inline";
  if (arg.touch && !inText && (box.height < 43.5 || box.width < 43.5)) found.add(`${name(e)} is ${box.width.toFixed()} x ${box.height.toFixed()} pixels`);
  e.focus({ focusVisible: true, preventScroll: true });
  const style = getComputedStyle(e);
  const ring = rgba(style.outlineColor), around = background(e.parentElement);
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) found.add(`${name(e)} has no focus ring`);
  else if (style.outlineStyle !== "auto" && contrast(over(ring, around), around) < 3) found.add(`the focus ring of ${name(e)} has a contrast of ${contrast(over(ring, around), around).toFixed(2)}`);
  e.blur();
}
return [...found];
