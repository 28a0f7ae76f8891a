"use strict";
(() => {
  const queue = JSON.parse(document.getElementById("queue").textContent);
  const rows = queue.rows;
  const words = ["correct", "incorrect", "uncertain"];
  const memory = `badc-review:${queue.id}`;
  const nameMemory = "badc-review-reviewer";
  const hint = "Press Space or Listen to hear the first sound.";
  const ahead = 2; // sounds that are loaded before they are needed
  const $ = (id) => document.getElementById(id);
  const sounds = new Map();
  const history = [];
  let verdicts = {};
  let at = 0;

  function remember(key, value) {
    try { localStorage.setItem(key, value); } catch { say("This browser keeps nothing: save to a file often."); }
  }
  function recall(key) {
    try { return localStorage.getItem(key); } catch { return null; }
  }
  function say(text) { $("status").textContent = text; }
  function counted(n, one) { return `${n} ${one}${n === 1 ? "" : "s"}`; }
  function verdictOf(index) { return verdicts[rows[index].detection_id]; }
  function judgedCount() { return rows.filter((_, index) => verdictOf(index)).length; }
  function keep() { remember(memory, JSON.stringify(verdicts)); }

  function sound(index) {
    if (!sounds.has(index)) {
      const audio = new Audio();
      audio.preload = "auto";
      audio.src = rows[index].clip;
      audio.addEventListener("playing", () => {
        if (index !== at) return;
        $("play").textContent = "Stop";
        if ($("status").textContent === hint) say("");
        follow();
      });
      for (const end of ["pause", "ended"]) {
        audio.addEventListener(end, () => { if (index === at) $("play").textContent = "Listen"; });
      }
      sounds.set(index, audio);
    }
    return sounds.get(index);
  }
  function follow() {
    const audio = sound(at);
    const share = audio.duration ? audio.currentTime / audio.duration : 0;
    $("playhead").style.left = `${100 * share}%`;
    if (!audio.paused) requestAnimationFrame(follow);
  }
  function play(share = 0) {
    const audio = sound(at);
    // The length is not known before the sound has been loaded.
    audio.currentTime = share && audio.duration ? share * audio.duration : 0;
    audio.play().catch((error) => {
      if (error.name === "NotAllowedError") say(hint);
      else if (error.name !== "AbortError") say(`This sound cannot be played: ${rows[at].clip}`);
    });
  }
  function stopAll() { for (const audio of sounds.values()) audio.pause(); }
  function prepare() {
    for (let index = at; index <= Math.min(at + ahead, rows.length - 1); index++) {
      sound(index);
      new Image().src = rows[index].picture;
    }
    for (const index of [...sounds.keys()]) {
      if (index < at - 1 || index > at + ahead) { sounds.get(index).src = ""; sounds.delete(index); }
    }
  }

  function badge(text) {
    const span = document.createElement("span");
    span.className = "badge";
    span.textContent = text;
    return span;
  }
  function show() {
    const row = rows[at];
    const verdict = verdictOf(at);
    $("position").textContent = `Sound ${at + 1} of ${rows.length}`;
    $("species").textContent = row.label_name;
    if (row.scientific_name && row.scientific_name !== row.label_name) {
      const name = document.createElement("i");
      name.className = "sci";
      name.textContent = row.scientific_name;
      $("species").append(" ", name);
    }
    const facts = [row.place, row.time].filter(Boolean).join(" · ");
    $("facts").replaceChildren(facts || "station and time unknown");
    if (verdict) $("facts").append(` · score ${Number(row.score).toFixed(2)}`);
    if (row.unexpected) $("facts").append(" ", badge("not expected here"));
    if (row.speech) $("facts").append(" ", badge("people speak"));
    $("picture").src = row.picture;
    $("picture").alt = `Spectrogram, 0 to ${row.top_khz} kHz; the detection is marked`;
    $("caption").textContent = `0 to ${row.top_khz} kHz · ${row.file}`;
    $("mark").style.left = `${100 * row.mark[0]}%`;
    $("mark").style.width = `${100 * (row.mark[1] - row.mark[0])}%`;
    $("playhead").style.left = "0";
    for (const button of document.querySelectorAll("[data-verdict]")) {
      button.setAttribute("aria-pressed", String(Boolean(verdict) && verdict.verdict === button.dataset.verdict));
    }
    $("other").value = verdict ? verdict.corrected_label : "";
    $("back").disabled = at === 0;
    $("next").disabled = at === rows.length - 1;
    showProgress();
    prepare();
  }
  function showProgress() {
    const n = judgedCount();
    $("progress").value = n;
    const unsaved = Object.values(verdicts).filter((one) => !one.saved).length;
    $("progress-text").textContent = `· ${n} judged${unsaved ? `, ${unsaved} not in a file yet` : ""}`;
    $("done").hidden = n < rows.length;
    $("undo").disabled = history.length === 0;
    if ($("all").open) showRows();
  }
  function showRows() {
    $("rows").replaceChildren(...rows.map((row, index) => {
      const line = document.createElement("tr");
      if (index === at) line.setAttribute("aria-current", "true");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = String(index + 1);
      button.setAttribute("aria-label", `Go to sound ${index + 1}`);
      button.addEventListener("click", () => { go(index); window.scrollTo(0, 0); });
      const verdict = verdictOf(index);
      const said = verdict ? verdict.verdict + (verdict.corrected_label ? `: ${verdict.corrected_label}` : "") : "–";
      const cells = [button, row.label_name, [row.place, row.time].filter(Boolean).join(" · "), said];
      for (const cell of cells) {
        const td = document.createElement("td");
        td.append(cell);
        line.append(td);
      }
      return line;
    }));
  }
  function go(index) {
    if (index < 0 || index >= rows.length) return;
    stopAll();
    at = index;
    show();
    play();
  }
  function nextOpen(from) {
    for (let step = 1; step <= rows.length; step++) {
      const index = (from + step) % rows.length;
      if (!verdictOf(index)) return index;
    }
    return -1;
  }
  function judge(verdict, other = "") {
    history.push([at, verdictOf(at)]);
    verdicts[rows[at].detection_id] = {
      verdict,
      corrected_label: verdict === "incorrect" ? other.trim() : "",
      reviewer: $("reviewer").value.trim(),
      reviewed_at: new Date().toISOString(),
    };
    keep();
    const next = nextOpen(at);
    if (next >= 0) { go(next); return; }
    stopAll();
    show();
    $("save").focus();
  }
  function undo() {
    const last = history.pop();
    if (!last) return;
    const [index, before] = last;
    if (before) verdicts[rows[index].detection_id] = before;
    else delete verdicts[rows[index].detection_id];
    keep();
    go(index);
  }
  function toggle() {
    if (sound(at).paused) play(); else stopAll();
  }

  // As BADC's own tables: no spreadsheet may take a text for a formula.
  function cell(text) {
    const safe = /^'*[=+\-@\t\r\n]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }
  function uncell(text) { return /^'('*[=+\-@\t\r\n])/.test(text) ? text.slice(1) : text; }
  function toTable() {
    const lines = [queue.columns.map(cell).join(",")];
    for (const row of rows) {
      const one = verdicts[row.detection_id];
      if (one) {
        const said = [one.verdict, one.corrected_label, one.reviewer, one.reviewed_at].map(cell);
        // Those of the queue are safe already.
        const cells = row.cells.map((text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text));
        lines.push([...cells, ...said].join(","));
      }
    }
    return `${lines.join("\n")}\n`;
  }
  function save() {
    const reviewer = $("reviewer").value.trim();
    const mine = rows.map((row) => verdicts[row.detection_id]).filter(Boolean);
    if (!mine.length) { say("There is no verdict to save yet."); return; }
    for (const one of mine) one.reviewer = one.reviewer || reviewer;
    const slug = reviewer.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
    const link = document.createElement("a");
    const url = URL.createObjectURL(new Blob([toTable()], { type: "text/csv" }));
    link.href = url;
    link.download = `${queue.name}-verdicts${slug ? `-${slug}` : ""}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    for (const one of mine) one.saved = true;
    keep();
    showProgress();
    say(`${counted(mine.length, "verdict")} saved as ${link.download}, in the folder of your downloads.`);
  }
  function parse(text) {
    const plain = text.replace(/^\uFEFF/, "");
    const first = plain.split(/\r?\n/, 1)[0];
    const separator = [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
    const lines = [[""]];
    let quoted = false;
    for (let i = 0; i < plain.length; i++) {
      const letter = plain[i];
      const line = lines[lines.length - 1];
      if (quoted) {
        if (letter !== '"') line[line.length - 1] += letter;
        else if (plain[i + 1] === '"') { line[line.length - 1] += '"'; i++; }
        else quoted = false;
      } else if (letter === '"') quoted = true;
      else if (letter === separator) line.push("");
      else if (letter === "\n") lines.push([""]);
      else if (letter !== "\r") line[line.length - 1] += letter;
    }
    const names = lines.shift().map((name) => name.trim());
    return lines.filter((line) => line.length > 1)
      .map((line) => Object.fromEntries(names.map((name, i) => [name, uncell((line[i] || "").trim())])));
  }
  async function load(file) {
    const found = parse(await file.text());
    if (!found.length || !("verdict" in found[0]) || !("detection_id" in found[0])) {
      say(`${file.name} holds no verdicts: choose a file that this page saved.`);
      return;
    }
    const known = new Set(rows.map((row) => row.detection_id));
    let taken = 0;
    let foreign = 0;
    for (const one of found) {
      const said = one.verdict.toLowerCase();
      const verdict = words.find((word) => said === word || said === word[0]);
      if (!verdict) continue;
      if (!known.has(one.detection_id)) { foreign++; continue; }
      const mine = verdicts[one.detection_id];
      if (mine && mine.reviewed_at > (one.reviewed_at || "")) continue;
      const { corrected_label = "", reviewer = "", reviewed_at = "" } = one;
      verdicts[one.detection_id] = { verdict, corrected_label, reviewer, reviewed_at, saved: true };
      taken++;
    }
    if (!$("reviewer").value) $("reviewer").value = found[0].reviewer || "";
    keep();
    const next = verdictOf(at) ? nextOpen(at) : at;
    if (next >= 0) at = next;
    show();
    say(`${counted(taken, "verdict")} taken from ${file.name}${foreign ? `; ${foreign} are of another queue` : ""}.`);
  }

  const keys = {
    "1": () => judge("correct"), c: () => judge("correct"),
    "2": () => judge("incorrect"), i: () => judge("incorrect"),
    "3": () => judge("uncertain"), u: () => judge("uncertain"),
    n: () => $("other").focus(), " ": toggle, z: undo, s: save,
    ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1),
    "?": () => { $("help").open = true; $("help").scrollIntoView(); },
  };
  function listen() {
    document.addEventListener("keydown", (event) => {
      // A key that is held down must not judge one sound after another.
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const inField = event.target.matches("input");
      if (inField && event.key === "Escape") event.target.blur();
      if (inField || (event.key === " " && event.target.matches("button, summary"))) return;
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (action) { event.preventDefault(); action(); }
    });
    document.addEventListener("click", (event) => {
      // Else Space would press the button again.
      if (event.detail && event.target.closest("button")) event.target.closest("button").blur();
    });
    for (const button of document.querySelectorAll("[data-verdict]")) {
      button.addEventListener("click", () => judge(button.dataset.verdict, $("other").value));
    }
    $("other-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const other = $("other").value;
      $("other").blur();
      if (other.trim()) judge("incorrect", other);
    });
    $("play").addEventListener("click", toggle);
    $("back").addEventListener("click", () => go(at - 1));
    $("next").addEventListener("click", () => go(at + 1));
    $("undo").addEventListener("click", undo);
    $("save").addEventListener("click", save);
    $("load").addEventListener("change", (event) => { if (event.target.files[0]) load(event.target.files[0]); });
    $("reviewer").addEventListener("change", () => remember(nameMemory, $("reviewer").value.trim()));
    $("all").addEventListener("toggle", () => { if ($("all").open) showRows(); });
    $("picture-box").addEventListener("click", (event) => {
      const box = $("picture-box").getBoundingClientRect();
      play((event.clientX - box.left) / box.width);
    });
  }

  try { verdicts = JSON.parse(recall(memory)) || {}; } catch { verdicts = {}; }
  $("reviewer").value = recall(nameMemory) || "";
  for (const label of [...new Set(rows.map((row) => row.label))].sort()) {
    const option = document.createElement("option");
    option.value = label;
    $("labels").append(option);
  }
  if (rows.length) {
    const open = nextOpen(rows.length - 1);
    at = open >= 0 ? open : 0;
    $("desk").hidden = false;
    listen();
    show();
    say(hint);
  }
})();
