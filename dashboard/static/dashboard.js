"use strict";
// Draws curves that a page names, and gives commands a button to copy them. Everything else on the site works without a script.

const colours = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6", "--series-7", "--series-8"];
const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]]; // so that colour is not all that tells curves apart
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function element(name, text, parent) {
  const made = document.createElement(name);
  made.textContent = text;
  parent.append(made);
  return made;
}

function options(chart, width) {
  const axis = { stroke: colour("--ink-2"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule") } };
  const series = chart.curves.map((curve, at) => ({
    label: curve.name, stroke: colour(colours[at % colours.length]), width: 2, dash: dashes[at % dashes.length],
    spanGaps: true, points: { show: curve.steps.length < 30 },
  }));
  return { width, height: 240, scales: { x: { time: false } }, axes: [{ ...axis, label: "step" }, { ...axis, size: 60 }], series: [{ label: "step" }, ...series] };
}

function draw(chart, box) {
  const figure = document.createElement("figure");
  element("figcaption", `${chart.title}: ${chart.unit}`, figure);
  box.append(figure);
  const data = uPlot.join(chart.curves.map((curve) => [curve.steps, curve.values]));
  const plot = new uPlot(options(chart, figure.clientWidth - 30), data, figure);
  const picture = plot.root.querySelector(".u-wrap"); // without the legend, which is text
  picture.setAttribute("role", "img");
  const ends = chart.curves.map((curve) => `${curve.name} ends at ${curve.values.at(-1).toPrecision(3)}`);
  picture.setAttribute("aria-label", `${chart.title}, ${chart.unit}: ${ends.join("; ")}`);
  const fit = () => plot.setSize({ width: figure.clientWidth - 30, height: 240 });
  new ResizeObserver(() => requestAnimationFrame(fit)).observe(figure);
}

async function drawAll(box) {
  const answer = await fetch(box.dataset.charts, { headers: { accept: "application/json" } });
  const charts = answer.ok ? await answer.json() : [];
  box.replaceChildren();
  for (const chart of charts) draw(chart, box);
  if (!charts.length) element("p", "No history of its trainings is in the store.", box);
}

function copyable(text) {
  const button = element("button", "Copy", text.parentElement);
  button.type = "button";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  });
}

for (const box of document.querySelectorAll("[data-charts]")) drawAll(box);
if (navigator.clipboard) for (const text of document.querySelectorAll("[data-copy]")) copyable(text);
