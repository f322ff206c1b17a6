// The learning curves: choosers, toggles and the read-out, drawn with Chart.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("curve-data").textContent);
  const SCALE = 10000, HOUR = 3600, MARKERS = 10;
  const id = (name) => document.getElementById(name);
  const svg = id("chart");
  const hidden = new Set();
  let view = null; // what is drawn: { frame, series, cursor layer }
  let cursor = null; // value on the x axis that is read out; null: the last checkpoint

  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
  const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });
  const number = (v) => (Math.abs(v) >= 10000 ? compact : plain).format(v);
  const percent = (tenths) => (tenths / 10).toFixed(1); // rounded as in the tables

  const cost = () => document.querySelector('input[name="cost"]:checked').value;
  const evaluated = (model, benchmark) =>
    Object.values(data.runs[model] ?? {}).some((run) => benchmark in run.scores);

  /** Points of every label shown: x and mean, with low, high and seeds where there are any. */
  function chosen() {
    const runs = data.runs[id("model").value] ?? {};
    return data.labels.filter((look) => runs[look.name]).flatMap((look) => {
      const run = runs[look.name], scores = run.scores[id("benchmark").value];
      if (!scores) return [];
      const { mean: xs, runs: each } = run.costs[cost()];
      const points = xs.map((x, i) => ({ x, mean: scores.mean[i], low: scores.low[i],
        high: scores.high[i], shown: scores.shown.map((line) => line[i]) })).filter((p) => p.mean !== null);
      const seeds = scores.runs.map((ys, s) =>
        ys.map((y, i) => [(each ? each[s] : xs)[i], y]).filter(([, y]) => y !== null));
      return [{ look, points, seeds, n: run.seeds.length }];
    });
  }

  function draw() {
    const all = chosen();
    const series = all.filter(({ look }) => !hidden.has(look.name));
    // The axes hold every label, shown or not, so that a toggle moves nothing.
    const xs = all.flatMap(({ points, seeds }) => [...points.map((p) => p.x),
      ...(id("show-seeds").checked ? seeds.flat().map(([x]) => x) : [])]);
    const ys = all.flatMap(({ points, seeds }) => [...points.map((p) => p.mean),
      ...seeds.flat().map(([, y]) => y)]);
    const top = max(xs, 1), low = -max(ys.map((y) => -y), -SCALE), high = max(ys, 0);
    const pad = Math.max(0.08 * (high - low), 0.002 * SCALE);
    const inHours = cost() === "train_seconds" && top >= 2 * HOUR;
    const unit = inHours ? HOUR : 1;
    const title = cost() === "train_seconds"
      ? `training ${inHours ? "hours" : "seconds"}` : data.costs[cost()];
    const range = ys.length ? [Math.max(0, low - pad), Math.min(SCALE, high + pad)] : [0, SCALE];
    const frame = Chart.frame(svg, [0, top / unit], range.map((y) => (100 * y) / SCALE), number,
      number, title);
    const pixel = (x, y) => [frame.x(x / unit), frame.y((100 * y) / SCALE)];
    for (const s of series) drawSeries(frame.inside, s, pixel);
    for (const s of series) drawMarkers(svg, s, pixel);
    id("chart-title").textContent = ys.length
      ? `${id("model").value}: pass@1 in percent, ${data.benchmarks[id("benchmark").value]}`
      : `${id("model").value || "no model"}: nothing has finished yet`;
    view = { frame, series: all, pixel, unit, title, layer: Chart.element("g", {}, svg) };
    readOut();
  }

  const max = (values, start) => values.reduce((a, b) => (b > a ? b : a), start);

  function drawSeries(parent, { look, points, seeds }, pixel) {
    const group = Chart.element("g", { class: "series", "data-label": look.name }, parent);
    const mean = points.map((p) => pixel(p.x, p.mean));
    const banded = points.filter((p) => p.low !== null);
    if (id("show-band").checked && banded.length > 1) {
      Chart.area(group, banded.map((p) => pixel(p.x, p.high)), banded.map((p) => pixel(p.x, p.low)),
        look);
    }
    if (id("show-seeds").checked) {
      for (const run of seeds) {
        if (run.length > 1) Chart.line(group, run.map(([x, y]) => pixel(x, y)), look, 1, 0.45);
      }
    }
    if (mean.length > 1) Chart.line(group, mean, look, 2.2);
  }

  /** Not inside the frame's clip: those on its edge are whole. */
  function drawMarkers(parent, { look, points }, pixel) {
    const every = Math.ceil(points.length / MARKERS);
    points.filter((_, i) => (points.length - 1 - i) % every === 0)
      .forEach((p) => Chart.marker(parent, ...pixel(p.x, p.mean), look));
  }

  /** Values beside the labels: at the cursor, or at the last checkpoint. */
  function readOut() {
    const { frame, series, pixel, unit, title, layer } = view;
    layer.replaceChildren();
    id("at").textContent = cursor === null ? "at the last checkpoint"
      : `at ${number(cursor / unit)} ${title}`;
    if (cursor !== null) {
      const [x] = pixel(cursor, 0);
      Chart.element("path", { d: `M${x},${frame.inner.top}V${frame.inner.bottom}`,
        stroke: "#57606a", "stroke-dasharray": "3 3", id: "cursor" }, layer);
    }
    for (const output of id("labels").querySelectorAll("output")) output.textContent = "–";
    for (const { look, points, n } of series) {
      if (!points.length) continue;
      const p = cursor === null ? points[points.length - 1] : nearest(points, cursor);
      const interval = p.low === null ? (n === 1 ? "(n=1, no interval)" : "")
        : `[${percent(p.shown[1])}, ${percent(p.shown[2])}]`;
      const where = `at ${number(p.x / unit)}`;
      id(`value-${data.labels.indexOf(look)}`).textContent =
        `${percent(p.shown[0])} ${interval} ${where}`;
      if (cursor !== null && !hidden.has(look.name)) {
        Chart.marker(layer, ...pixel(p.x, p.mean), look, 5.5);
      }
    }
  }

  const nearest = (points, x) =>
    points.reduce((best, p) => (Math.abs(p.x - x) < Math.abs(best.x - x) ? p : best));

  function moveTo(event) {
    const box = svg.getBoundingClientRect();
    const [low, high] = [view.frame.inner.left, view.frame.inner.right];
    const at = Math.min(Math.max(event.clientX - box.left, low), high);
    cursor = view.frame.value(at) * view.unit;
    readOut();
  }

  function stepTo(event) {
    const shown = view.series.filter(({ look }) => !hidden.has(look.name));
    const xs = [...new Set(shown.flatMap((s) => s.points.map((p) => p.x)))].sort((a, b) => a - b);
    const from = cursor ?? xs[xs.length - 1];
    const to = { ArrowLeft: xs.filter((x) => x < from).pop() ?? xs[0],
      ArrowRight: xs.find((x) => x > from) ?? xs[xs.length - 1],
      Home: xs[0], End: xs[xs.length - 1], Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    cursor = to;
    readOut();
  }

  function fill(select, entries) {
    for (const [value, title] of entries) select.add(new Option(title, value));
  }

  function makeLegend() {
    data.labels.forEach((look, i) => {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(look.name); else hidden.add(look.name);
        draw();
      });
      const swatch = Chart.element("svg", { viewBox: "0 0 34 14", "aria-hidden": "true" });
      Chart.line(swatch, [[1, 7], [33, 7]], look, 2.2);
      Chart.marker(swatch, 17, 7, look);
      const name = Object.assign(document.createElement("span"), { textContent: look.name });
      const value = Object.assign(document.createElement("output"), { id: `value-${i}` });
      label.append(box, swatch, name, value);
      id("labels").append(label);
    });
  }

  function showAll(shown) {
    for (const box of id("labels").querySelectorAll("input")) {
      if (box.checked !== shown) box.click();
    }
  }

  function start() {
    fill(id("model"), data.models.map((name) => [name, name]));
    fill(id("benchmark"), Object.entries(data.benchmarks)
      .filter(([key]) => data.models.some((model) => evaluated(model, key))));
    makeLegend();
    const redraw = () => { cursor = null; draw(); };
    for (const input of document.querySelectorAll("#curves select, #curves fieldset input")) {
      input.addEventListener("change", redraw);
    }
    id("all").addEventListener("click", () => showAll(true));
    id("none").addEventListener("click", () => showAll(false));
    svg.addEventListener("pointermove", moveTo);
    svg.addEventListener("pointerdown", moveTo);
    svg.addEventListener("pointerleave", () => { cursor = null; readOut(); });
    svg.addEventListener("keydown", stepTo);
    new ResizeObserver(draw).observe(svg);
    draw();
  }

  start();
})();
