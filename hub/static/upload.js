// Sends a chosen file in pieces that go on after a broken connection, and shows how far it is. The form then only names
// the material. Without this script the form sends the file in one go.
"use strict";

const PIECE = 4 << 20;
const PATIENCE = 20;
const words = {
  zh: {
    sending: "正在上传", checking: "已传完，正在检查文件…", again: "网络中断，已传的部分保留着，正在重试…",
    stopped: "上传中断。已传的部分保留一天，请再点一次按钮接着传。", refused: "文件没有收下：",
    file_type: "它不是 PDF、OFD、JPEG 或 PNG。", file_extension: "文件名的结尾和内容不一致。",
    file_truncated: "内容不完整或者已损坏。", file_two_types: "里面同时有两种类型的内容。",
    file_archive: "这个 OFD 文件的内部结构有问题。", material_infected: "查毒时发现有害内容。",
    material_name: "文件名太长，或者含有不能显示的字符。", material_too_large: "文件太大。",
    material_empty: "文件是空的。", upload_quota: "您有太多文件还没有传完。",
    scanner_unavailable: "现在不能查毒，请稍后再点一次按钮。", login_required: "登录已过期，请重新登录。",
    other: "请稍后再试。",
  },
  en: {
    sending: "Sending", checking: "All sent. The file is being checked…",
    again: "The connection broke. What was sent is kept; trying again…",
    stopped: "Sending stopped. What was sent is kept for a day: press the button again to go on.",
    refused: "The file was not taken: ",
    file_type: "it is none of PDF, OFD, JPEG and PNG.", file_extension: "its name does not end as its content asks for.",
    file_truncated: "it is damaged or ends too early.", file_two_types: "it is of two types at once.",
    file_archive: "the inside of this OFD file is damaged.", material_infected: "the antivirus program found something.",
    material_name: "its name is too long or cannot be shown.", material_too_large: "it is too large.",
    material_empty: "it is empty.", upload_quota: "too many of your files are on the way.",
    scanner_unavailable: "files cannot be scanned now; press the button again later.",
    login_required: "you are no longer logged in.", other: "try again later.",
  },
}[document.documentElement.lang.startsWith("zh") ? "zh" : "en"];

class Refused extends Error {}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// A request; `onSent` is told how many bytes have gone. Rejects if there was no answer.
const ask = (form, method, path, { headers = {}, body = null, onSent } = {}) =>
  new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.setRequestHeader("X-Yihao-Csrf", form.elements.csrf.value);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (onSent) request.upload.onprogress = (event) => onSent(event.loaded);
    request.onload = () => done(request);
    request.onerror = request.onabort = () => failed(new Error("no answer"));
    request.send(body);
  });

const problem = (answer) => {
  try {
    return JSON.parse(answer.responseText).code || "";
  } catch {
    return "";
  }
};

const offsetOf = (answer) => Number(answer.getResponseHeader("Upload-Offset"));

const show = (form, file) => {
  let box = form.querySelector(".upload-state");
  if (!box) {
    box = document.createElement("div");
    box.className = "upload-state";
    box.append(document.createElement("progress"), document.createElement("p"));
    form.append(box);
  }
  const [bar, line] = box.children;
  bar.max = file.size;
  bar.setAttribute("aria-label", words.sending);
  let told = -1;
  return {
    at(bytes) {
      bar.hidden = false;
      bar.value = bytes;
      const percent = Math.floor((bytes / file.size) * 100);
      line.textContent = `${words.sending} ${percent}%`;
      // A screen reader is told now and then, not each percent.
      line.setAttribute("role", percent >= told + 25 ? "status" : "none");
      if (percent >= told + 25) told = percent;
    },
    say(text, role = "status") {
      line.setAttribute("role", role);
      line.textContent = text;
    },
    stop(text) {
      bar.hidden = true;
      this.say(text, "alert");
    },
  };
};

// The upload to go on with, or a new one: its address and how many bytes are held.
const begin = async (form, file, place, key) => {
  const known = localStorage.getItem(key);
  if (known) {
    const answer = await ask(form, "HEAD", `/v1/materials/uploads/${known}`);
    if (answer.status === 200) return { id: known, offset: offsetOf(answer) };
  }
  const body = JSON.stringify({ ...place, name: file.name, size: file.size });
  const answer = await ask(form, "POST", "/v1/materials", {
    headers: { "Content-Type": "application/json" }, body,
  });
  if (answer.status !== 201) throw new Refused(problem(answer));
  const { id } = JSON.parse(answer.responseText);
  localStorage.setItem(key, id);
  return { id, offset: 0 };
};

// Sends all bytes; whatever breaks is tried again from what is held.
const sendAll = async (form, file, upload, state) => {
  const path = `/v1/materials/uploads/${upload.id}`;
  let failures = 0;
  let { offset } = upload;
  while (offset < file.size) {
    const from = offset;
    state.at(from);
    try {
      const answer = await ask(form, "PATCH", path, {
        headers: { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(from) },
        body: file.slice(from, from + PIECE),
        onSent: (sent) => state.at(Math.min(from + sent, file.size)),
      });
      if (answer.status === 204 || answer.status === 409) {
        offset = offsetOf(answer);
        failures = offset > from ? 0 : failures + 1;
      } else if (answer.status < 500 && answer.status !== 400) {
        throw new Refused(problem(answer));
      } else {
        failures += 1;
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
      failures += 1;
    }
    if (failures > PATIENCE) throw new Error("no answer");
    if (failures > 0) {
      state.say(words.again);
      await pause(Math.min(500 * 2 ** failures, 15000));
      const answer = await ask(form, "HEAD", path).catch(() => null);
      if (answer && answer.status === 200) offset = offsetOf(answer);
      else if (answer && answer.status < 500) throw new Refused("");
    }
  }
  state.at(file.size);
};

// Asks until the file was checked; asking again is safe.
const finish = async (form, upload, state) => {
  state.say(words.checking);
  for (let tries = 0; tries <= PATIENCE; tries += 1) {
    const answer = await ask(form, "POST", `/v1/materials/uploads/${upload.id}/finish`).catch(() => null);
    if (answer && answer.status === 200) return JSON.parse(answer.responseText).id;
    const code = answer ? problem(answer) : "";
    if (answer && (answer.status < 500 || code === "scanner_unavailable")) throw new Refused(code);
    await pause(Math.min(500 * 2 ** tries, 15000));
  }
  throw new Error("no answer");
};

const send = async (form, input, file, chosen) => {
  const button = form.querySelector("button");
  const requirement = form.elements.requirement.value;
  const key = `upload:${chosen}:${requirement}:${file.size}:${file.lastModified}`;
  const state = show(form, file);
  const leaving = (event) => event.preventDefault();
  button.disabled = true;
  addEventListener("beforeunload", leaving);
  try {
    const upload = await begin(form, file, { case: chosen, requirement }, key);
    await sendAll(form, file, upload, state);
    const material = await finish(form, upload, state);
    localStorage.removeItem(key);
    const named = document.createElement("input");
    Object.assign(named, { type: "hidden", name: "material", value: material });
    form.append(named);
    input.disabled = true; // what is named is not sent again
    removeEventListener("beforeunload", leaving);
    form.submit();
  } catch (error) {
    if (error instanceof Refused) {
      if (error.message !== "scanner_unavailable") localStorage.removeItem(key);
      state.stop(words.refused + (words[error.message] || words.other));
    } else {
      state.stop(words.stopped);
    }
    button.disabled = false;
    button.focus();
  } finally {
    removeEventListener("beforeunload", leaving);
  }
};

for (const form of document.querySelectorAll('form[enctype="multipart/form-data"]')) {
  const chosen = new URL(form.action).pathname.match(/^\/(?:me|window)\/cases\/([^/]+)\/files$/);
  const input = form.querySelector('input[type="file"]');
  if (!chosen || !input) continue;
  form.addEventListener("submit", (event) => {
    const file = input.files[0];
    if (!file) return;
    event.preventDefault();
    send(form, input, file, chosen[1]);
  });
}
