"use strict";
// Offsets are code points, so texts are cut as arrays of them. All text enters by textContent.
const get = (id) => document.getElementById(id);
const colours = ["#cfe3f7", "#ffe3b3", "#d5ecc8", "#f6cfd8", "#dcd3f3", "#c8ebe6", "#f3d7bd",
  "#e4e6a8", "#efcdef", "#cbd8dd", "#ffd2c4", "#c9e6f2", "#e2dac9", "#d9e8b4"];
let info = { labels: [], topics: [], rules: false, most_bytes: 1 << 20, most_texts: 500 };
let hidden = new Set();
let shown = [];
let loaded = null; // documents of a file
let turn = 0;

function make(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}
function colour(label) {
  const place = info.labels.indexOf(label);
  return colours[(place < 0 ? info.labels.length : place) % colours.length];
}
function say(text, bad) {
  get("status").textContent = text;
  get("status").className = bad ? "bad" : "";
}

function value(row) {
  if (!row) return "";
  const number = (n) => (typeof n === "number" ? n.toLocaleString("en") : n);
  let text = "value" in row ? number(row.value) : `${number(row.low)} – ${number(row.high)}`;
  if (row.currency) text += ` ${row.currency}`;
  if (row.unit) text += ` ${row.unit}`;
  if (row.about) text = `≈ ${text}`;
  return text;
}

function article(doc) {
  const chars = Array.from(doc.text);
  const node = make("article");
  const body = make("p");
  const table = make("table");
  const head = make("tr");
  for (const name of ["实体 span", "类型 type", "分数 score", "来源 source", "值 value"]) head.append(make("th", name));
  table.append(head);
  const values = new Map(((doc.meta || {}).values || []).map((row) => [row.start, row]));
  let at = 0;
  let count = 0;
  for (const span of doc.spans) {
    if (hidden.has(span.label)) continue;
    count += 1;
    body.append(chars.slice(at, span.start).join(""));
    const surface = chars.slice(span.start, span.end).join("");
    const score = (span.score === undefined ? 1 : span.score).toFixed(2);
    const mark = make("mark", surface, (span.source || "").includes("rule:") ? "rule" : "");
    mark.style.background = colour(span.label);
    mark.title = `${span.label} ${score} ${span.source || ""}`;
    mark.append(make("sub", span.label));
    body.append(mark);
    at = span.end;
    const line = make("tr");
    for (const cell of [surface, span.label, score, span.source || "", value(values.get(span.start))]) line.append(make("td", cell));
    table.append(line);
  }
  body.append(chars.slice(at).join(""));
  node.append(body);
  const scores = (doc.meta || {}).topic_scores;
  const topics = make("div", undefined, "topics");
  const named = (doc.labels || {}).topic;  // rules may name one that the model does not rank high
  const ranked = Object.entries(scores || {}).sort((a, b) => b[1] - a[1]);
  const shown = ranked.filter(([topic], at) => at < 5 || topic === named);
  if (named && !shown.some(([topic]) => topic === named)) shown.unshift([named, 1]);
  for (const [topic, score] of shown) {
    const line = make("div", undefined, topic === named ? "best" : "");
    const bar = make("meter");
    bar.value = score;
    line.append(make("span", topic), bar, make("span", score.toFixed(2)));
    topics.append(line);
  }
  node.append(topics);
  if (count) {
    const more = make("details");
    more.append(make("summary", `${count} 个实体 · details`), table);
    node.append(more);
  }
  return node;
}

function draw() {
  get("legend").replaceChildren(...info.labels.map((label) => {
    const chip = make("button", label);
    chip.type = "button";
    chip.style.background = colour(label);
    chip.setAttribute("aria-pressed", String(!hidden.has(label)));
    chip.addEventListener("click", () => {
      if (!hidden.delete(label)) hidden.add(label);
      draw();
    });
    return chip;
  }));
  get("documents").replaceChildren(...shown.slice(0, 200).map(article));
  get("save").disabled = !shown.length;
}

async function ask(texts) {
  const question = { texts, threshold: Number(get("threshold").value), rules: get("rules").value };
  const answer = await fetch("extract", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question),
  });
  const row = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (row.error) throw new Error(row.error);
  return row.documents;
}

async function run() {
  const mine = ++turn; // an answer that arrives out of order is dropped
  const texts = loaded || [get("text").value];
  const found = [];
  const start = performance.now();
  try {
    for (let at = 0; at < texts.length;) {
      let end = at;
      let size = 2000;
      while (end < texts.length && end - at < info.most_texts && (end === at || size < info.most_bytes / 2)) {
        size += 3 * texts[end].length;
        end += 1;
      }
      const part = await ask(texts.slice(at, end));
      if (mine !== turn) return;
      for (const doc of part) found.push({ ...doc, id: String(found.length + 1) });
      at = end;
      if (texts.length > 1) say(`${at} / ${texts.length}`);
    }
  } catch (err) {
    if (mine === turn) say(err.message, true);
    return;
  }
  shown = found;
  const length = texts.reduce((sum, text) => sum + Array.from(text).length, 0);
  const spans = found.reduce((sum, doc) => sum + doc.spans.length, 0);
  say(`${texts.length} 篇 · ${length} 字 · ${spans} 个实体 · ${Math.round(performance.now() - start)} ms`
    + (found.length > 200 ? " · 只显示前 200 篇 (the first 200 are shown, all are saved)" : ""));
  draw();
}

function texts_of(name, content) {
  if (name.endsWith(".jsonl")) {
    return content.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line).text);
  }
  const cut = /\n[^\S\n]*\n/.test(content.trim()) ? /\n(?:[^\S\n]*\n)+/ : /\n/;
  return content.replace(/^\uFEFF/, "").replace(/\r\n/g, "\n").split(cut).filter((text) => text.trim());
}

let timer = 0;
function soon() {
  clearTimeout(timer);
  timer = setTimeout(run, 150);
}
get("text").addEventListener("input", () => { loaded = null; soon(); });
get("rules").addEventListener("change", soon);
get("threshold").addEventListener("input", () => {
  get("threshold-value").textContent = Number(get("threshold").value).toFixed(2);
  soon();
});
get("file").addEventListener("change", async () => {
  const file = get("file").files[0];
  if (!file) return;
  try {
    loaded = texts_of(file.name, new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()));
    if (!loaded.every((text) => typeof text === "string")) throw new Error();
  } catch {
    loaded = null;
    say(`${file.name}: 不是 UTF-8 文本或 JSONL (expected UTF-8 text, or JSON lines with "text")`, true);
    return;
  }
  get("file").value = "";
  await run();
});
get("save").addEventListener("click", () => {
  const lines = shown.map((doc) => JSON.stringify({
    ...doc, spans: doc.spans.filter((span) => !hidden.has(span.label)),
  }));
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "application/jsonl" }));
  link.download = "hanspan.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
fetch("info").then((answer) => answer.json()).then((row) => {
  info = row;
  get("model").textContent = `${row.name} · ${row.backend}`;
  get("rules-box").hidden = !row.rules;
  if (row.rules) get("rules").value = "on";
  return run();
}).catch((err) => say(err.message, true));
