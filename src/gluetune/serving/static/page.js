// The page sends requests to /predict and shows the predictions. Every text goes in as text, never as markup.
"use strict";

const MOST_BARS = 20;
const part = (id) => document.getElementById(id);
const fields = [part("text-1"), part("text-2")].filter(Boolean);
const dial = part("dial");
const keyField = part("key"); // only if the server requires a key; its value is stored nowhere
const isNumber = document.body.dataset.widget === "dial";
const thresholds = JSON.parse(document.body.dataset.thresholds); // of several labels; else empty
const isSeveral = document.body.dataset.widget === "checks";
let running = null; // AbortController of the request in progress
let picked = null; // the example that the fields were filled from

function typed() {
  const texts = fields.map((field) => field.value);
  return texts.length === 2 && !texts[1].trim() && !fields[1].required ? texts.slice(0, 1) : texts;
}

function requestBody() {
  const texts = typed();
  return { inputs: texts.length === 1 ? texts[0] : texts, truncate: true };
}

function showCommand() {
  const body = JSON.stringify(requestBody()).replaceAll("'", "'\\''");
  const url = new URL("predict", location.href).href;
  const key = keyField ? ' -H "Authorization: Bearer $API_KEY"' : "";
  part("command").textContent =
    `curl ${url}${key} -H 'Content-Type: application/json' -d '${body}'`;
}

function show(id, text) {
  part(id).textContent = text;
  part(id).hidden = !text;
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function isPredicted({ label, score }) {
  return score > thresholds[label];
}

function bar(one) {
  const { label, score } = one;
  const row = document.createElement("li");
  if (isSeveral) row.className = isPredicted(one) ? "predicted" : "not-predicted";
  const [name, share, track, fill] = ["span", "span", "div", "span"].map((tag) =>
    document.createElement(tag),
  );
  name.textContent = label;
  name.dir = "auto";
  share.textContent = percent(score);
  if (isSeveral) share.title = `predicted above ${percent(thresholds[label])}`;
  share.className = "share";
  track.className = "bar";
  track.setAttribute("aria-hidden", "true");
  fill.style.width = percent(score);
  track.append(fill);
  row.append(name, share, track);
  return row;
}

function showBars(found) {
  const rows = found.slice(0, MOST_BARS).map(bar);
  if (found.length > MOST_BARS) {
    const more = document.createElement("li");
    more.textContent = `and ${found.length - MOST_BARS} more`;
    rows.push(more);
  }
  part("bars").replaceChildren(...rows);
}

function showNumber(value) {
  const [low, high] = [Number(dial.dataset.low), Number(dial.dataset.high)];
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  part("arc").setAttribute("stroke-dasharray", `${100 * share} 100`);
  part("number").textContent = value.toFixed(2);
}

function predictedLabels(found) {
  return found.filter(isPredicted).map(({ label }) => label).join(", ") || "none of the labels";
}

function summary(found) {
  const best = found[0];
  if (isNumber) return best.score.toFixed(2);
  const doubt = best.uncertain ? ", uncertain" : "";
  return isSeveral ? predictedLabels(found) : `${best.label}, ${percent(best.score)}${doubt}`;
}

function showTime(headers) {
  const total = Number(headers.get("x-total-time"));
  const tokens = Number(headers.get("x-compute-tokens"));
  const cut = headers.get("x-truncated-inputs") !== "0";
  part("time").textContent =
    `${total.toFixed(total < 10 ? 1 : 0)} ms · ${tokens} tokens` +
    (cut ? " · truncated to the model's maximum length" : "");
}

function showPrediction(found, headers) {
  if (dial) showNumber(found[0].score);
  else if (isNumber) part("bars").replaceChildren(summary(found));
  else showBars(found);
  show("predicted", isSeveral ? `Predicted: ${predictedLabels(found)}` : "");
  show("gold", picked ? `Gold label: ${picked.dataset.label}` : "");
  showTime(headers);
  show("error", "");
  part("empty").hidden = true;
  part("prediction").hidden = false;
  part("status").textContent = `Prediction: ${summary(found)}`;
}

function showProblem(text) {
  show("error", text);
  part("prediction").hidden = true;
  part("empty").hidden = true;
  part("status").textContent = "";
}

function requestHeaders() {
  const headers = { "Content-Type": "application/json" };
  if (keyField) headers.Authorization = `Bearer ${keyField.value.trim()}`;
  return headers;
}

function showWrongKey() {
  showProblem(keyField ? "The server does not accept this API key." : "An API key is required.");
  if (keyField) keyField.focus();
}

async function predict() {
  if (running) running.abort();
  const mine = new AbortController();
  running = mine;
  document.body.classList.add("is-waiting");
  try {
    const response = await fetch("predict", {
      method: "POST",
      headers: requestHeaders(),
      body: JSON.stringify(requestBody()),
      signal: mine.signal,
    });
    const found = await response.json();
    if (response.ok) showPrediction(found, response.headers);
    else if (response.status === 401) showWrongKey();
    else if (response.status === 429) showProblem("The model is busy. Try again in a moment.");
    else showProblem(found.error);
  } catch (error) {
    if (error.name !== "AbortError") showProblem("No response from the server. Is it running?");
  } finally {
    if (running === mine) {
      running = null;
      document.body.classList.remove("is-waiting");
    }
  }
}

function pick(button) {
  if (picked) picked.removeAttribute("aria-pressed");
  picked = button;
  if (button) button.setAttribute("aria-pressed", "true");
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
part("form").addEventListener("reset", () => {
  if (running) running.abort();
  pick(null);
  for (const id of ["gold", "error"]) show(id, "");
  part("prediction").hidden = true;
  part("empty").hidden = false;
  part("status").textContent = "";
  fields[0].focus();
  setTimeout(showCommand); // the fields are emptied after this event
});
if (keyField) {
  part("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    fields[0].focus();
  });
}
for (const field of fields) {
  field.addEventListener("input", () => {
    pick(null);
    show("gold", "");
    showCommand();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      part("form").requestSubmit();
    }
  });
}
for (const button of document.querySelectorAll(".example")) {
  button.addEventListener("click", () => {
    fields[0].value = button.dataset.first;
    if (fields[1]) fields[1].value = button.dataset.second ?? "";
    pick(button);
    showCommand();
    predict();
  });
}
showCommand();
