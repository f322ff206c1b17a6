// Drawing on SVG: scales, axes, lines, markers. Knows nothing of methods.
const Chart = (() => {
  "use strict";
  const MARGIN = { top: 10, right: 14, bottom: 44, left: 52 };
  const MARKER = {
    o: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
    s: (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}Z`,
    "^": (r) => `M0,${-r}L${r},${r}H${-r}Z`,
    v: (r) => `M0,${r}L${r},${-r}H${-r}Z`,
    D: (r) => `M0,${-r}L${r},0L0,${r}L${-r},0Z`,
    P: (r) => `M${-r},0H${r}M0,${-r}V${r}`,
    X: (r) => `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`,
    "*": (r) => `M${-r},0H${r}M0,${-r}V${r}M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`,
  };

  function element(name, attributes, parent) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  }

  /** About n round numbers from low to high. */
  function ticks(low, high, n) {
    const raw = (high - low) / n || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
      found.push(Number((i * step).toPrecision(12)));
    }
    return found;
  }

  /** Scales of an empty chart in svg, with its axes; x and y map values to pixels. */
  function frame(svg, [x0, x1], [y0, y1], formatX, formatY, titleX) {
    svg.replaceChildren();
    const width = svg.clientWidth || 640, height = svg.clientHeight || 384;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const inner = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top,
      bottom: height - MARGIN.bottom };
    const x = (v) => inner.left + ((v - x0) / (x1 - x0 || 1)) * (inner.right - inner.left);
    const y = (v) => inner.bottom - ((v - y0) / (y1 - y0 || 1)) * (inner.bottom - inner.top);
    const clip = element("clipPath", { id: "inside" }, svg);
    element("rect", { x: inner.left, y: inner.top, width: inner.right - inner.left,
      height: inner.bottom - inner.top }, clip);
    for (const t of ticks(y0, y1, 6)) {
      element("path", { d: `M${inner.left},${y(t)}H${inner.right}`, stroke: "#e4e8ec" }, svg);
      text(svg, inner.left - 6, y(t) + 4, formatY(t), "end");
    }
    for (const t of ticks(x0, x1, Math.max(2, Math.floor(width / 110)))) {
      element("path", { d: `M${x(t)},${inner.bottom}v5`, stroke: "#57606a" }, svg);
      text(svg, x(t), inner.bottom + 18, formatX(t), "middle");
    }
    element("path", { d: `M${inner.left},${inner.top}V${inner.bottom}H${inner.right}`,
      stroke: "#57606a", fill: "none" }, svg);
    text(svg, (inner.left + inner.right) / 2, height - 8, titleX, "middle");
    const value = (pixel) => x0 + ((pixel - inner.left) / (inner.right - inner.left)) * (x1 - x0);
    return { x, y, inner, value, inside: element("g", { "clip-path": "url(#inside)" }, svg) };
  }

  function text(parent, x, y, content, anchor) {
    element("text", { x, y, "text-anchor": anchor }, parent).textContent = content;
  }

  const at = (points) => points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);

  function line(parent, points, look, width, opacity = 1) {
    const dashes = look.dashes.map((d) => d * width).join(" ");
    return element("path", { d: `M${at(points).join("L")}`, fill: "none", stroke: look.colour,
      "stroke-width": width, "stroke-dasharray": dashes || "none", "stroke-opacity": opacity,
      "stroke-linejoin": "round" }, parent);
  }

  function area(parent, upper, lower, look) {
    const edge = at([...upper, ...lower.slice().reverse()]).join("L");
    element("path", { d: `M${edge}Z`, fill: look.colour, "fill-opacity": 0.13, class: "band" }, parent);
  }

  function marker(parent, x, y, look, radius = 4) {
    element("path", { d: MARKER[look.marker](radius), transform: `translate(${x},${y})`,
      fill: look.colour, stroke: look.colour, "stroke-width": 1.5 }, parent);
  }

  return { element, frame, line, area, marker };
})();
