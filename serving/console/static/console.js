"use strict";
// What the pages do beyond forms and links: keys, a dialog for labels, progress of an upload. All else works without.

const typing = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;
const rows = () => Array.from(document.querySelectorAll("[data-queue] tbody tr"));
const dialog = document.getElementById("label-dialog");
const help = document.getElementById("help");

function move(step) {
  const all = rows();
  if (!all.length) return;
  const now = all.findIndex((row) => row.contains(document.activeElement));
  const next = now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(now + step, 0), all.length - 1);
  const link = all[next].querySelector("a.open");
  link.focus();
  link.scrollIntoView({ block: "nearest" });
}

function ask(link) {
  const form = dialog.querySelector("form");
  form.action = `/console/files/${link.dataset.file}/label`;
  form.elements.label.value = link.dataset.label;
  dialog.querySelector("[data-name]").textContent = link.dataset.name;
  const word = dialog.querySelector("[data-word]");
  word.textContent = link.dataset.label;
  word.className = `chip ${link.dataset.label === "unsure" ? "quiet" : link.dataset.label}`;
  dialog.showModal();
  form.elements.reason.focus();
}

function label(word) {
  const row = rows().find((one) => one.contains(document.activeElement));
  if (row) {
    ask(row.querySelector(`[data-label="${word}"]`));
    return;
  }
  const form = document.querySelector("[data-label-form]");
  if (form) {
    form.querySelector(`input[value="${word}"]`).checked = true;
    form.elements.reason.focus();
  }
}

let going = 0;
const words = { m: "malicious", b: "benign", u: "unsure" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
  const key = event.key;
  const page = Date.now() - going < 1500 && document.querySelector(`.top [data-key="${CSS.escape(key)}"]`);
  going = key === "g" ? Date.now() : 0;
  if (page) page.click();
  else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
  else if (key in words) label(words[key]);
  else if (key === "/") document.getElementById("search").focus();
  else if (key === "?" && help) help.showModal();
  else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-label]");
  if (link && dialog && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    ask(link);
  }
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  if (event.target.closest("[data-help]")) help.showModal();
});
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
for (const button of document.querySelectorAll("[data-help]")) button.hidden = false;

const upload = document.querySelector("[data-upload]");
if (upload) {
  const drop = upload.querySelector(".drop");
  const input = upload.querySelector("input[type=file]");
  const progress = upload.querySelector("[data-progress]");
  const state = upload.querySelector("[data-state]");
  const problem = upload.querySelector("[data-problem]");
  const fail = (text) => {
    progress.hidden = true;
    problem.textContent = text;
    problem.hidden = false;
  };
  const send = () => {
    const file = input.files[0];
    if (!file) return;
    const body = new FormData();
    body.append("file", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", upload.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    problem.hidden = true;
    progress.hidden = false;
    request.upload.onprogress = (event) => {
      progress.querySelector("progress").value = (100 * event.loaded) / event.total;
      state.textContent = event.loaded < event.total ? `${Math.round((100 * event.loaded) / event.total)} %` : "scanning";
    };
    request.onload = () => {
      const answer = request.response || {};
      if (request.status === 200 && answer.page) window.location.assign(answer.page);
      else fail(answer.detail || `The service answered ${request.status}.`);
    };
    request.onerror = () => fail("The connection broke off.");
    request.send(body);
  };
  upload.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  input.addEventListener("change", send);
  for (const name of ["dragenter", "dragover"]) {
    upload.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  upload.addEventListener("dragleave", () => drop.classList.remove("over"));
  upload.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      send();
    }
  });
}
