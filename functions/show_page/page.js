// The web page. All data comes from the API and is inserted as text, never as HTML.

const $ = (id) => document.getElementById(id);
const STORAGE_KEY = "fluxgate.key"; // the API key's name in the browser's storage
const PAGE_SIZE = 20; // tasks
const MAX_URL_AGE = 30 * 60_000; // ms; presigned URLs are valid for an hour at most
const TERMINAL = new Set(["succeeded", "failed", "expired"]);
const STATUS_TEXT = {
  queued: ["Queued", "Waiting for the provider."],
  processing: ["Processing", "The image is being generated."],
  succeeded: ["No image", "No image could be stored."],
  failed: ["Failed", "The provider gave no reason."],
  expired: ["Expired", "No result in time. A late result will still be shown."],
};
const TARGET_RATIO = 1.2; // width / height of the grid of a task's images
const SHORT_TIME = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const FULL_TIME = { dateStyle: "full", timeStyle: "long" };

// ---------------------------------------------------------------- the API

class Problem extends Error {
  /** `status` is 0 if there was no response; `errors` has one entry per invalid field. */
  constructor(status, { detail, errors } = {}) {
    super(detail ?? "The service did not respond. Try again.");
    this.status = status;
    this.errors = errors ?? [];
  }
}

let key = "";

/** The JSON of a response. Throws Problem. */
async function api(path, { headers = {}, ...options } = {}) {
  const request = { ...options, headers: { "x-api-key": key, ...headers }, cache: "no-store" };
  const response = await fetch(path, request).catch(() => null);
  const body = await response?.json().catch(() => null);
  if (!body) throw new Problem(0);
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

// ---------------------------------------------------------------- the API key

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await signIn($("key").value.trim())) $("prompt").focus();
});

$("forget").addEventListener("click", () => {
  for (const storage of [localStorage, sessionStorage]) storage.removeItem(STORAGE_KEY);
  location.reload();
});

$("change-key").addEventListener("click", () => toggleKeyForm($("key-form").hidden));

function toggleKeyForm(visible, error = "") {
  $("key-form").hidden = !visible;
  $("change-key").setAttribute("aria-expanded", visible);
  showError("key", error);
  if (visible) $("key").focus();
}

/** Show the form and the gallery if the API accepts the key. Returns whether it does. */
async function signIn(candidate) {
  $("key").value = candidate;
  try {
    // fetch rejects an invalid header value in the same way as a network failure.
    if (!/^[\x21-\x7e]+$/.test(candidate)) throw new Problem(0, { detail: "Paste a key: letters and digits, no spaces." });
    showModels(await api("v1/models", { headers: { "x-api-key": candidate } }));
  } catch (problem) {
    toggleKeyForm(true, problem.message);
    return false;
  }
  key = candidate;
  const [used, unused] = $("remember").checked ? [localStorage, sessionStorage] : [sessionStorage, localStorage];
  used.setItem(STORAGE_KEY, key);
  unused.removeItem(STORAGE_KEY);
  $("key").value = "";
  for (const id of ["change-key", "forget", "composer", "gallery-section"]) $(id).hidden = false;
  toggleKeyForm(false);
  gallery.open();
  return true;
}

// ---------------------------------------------------------------- the request

const FIELDS = ["prompt", "model", "size", "count"]; // the API's fields with an error element
const models = new Map();
let maxPrompt = Infinity;

function showModels(catalogue) {
  maxPrompt = catalogue.max_prompt;
  models.clear();
  for (const model of catalogue.models) if (model.actions.includes("generate")) models.set(model.name, model);
  $("model").replaceChildren(...Array.from(models.keys(), (name) => new Option(name, name)));
  $("model").value = [...models.values()].find((model) => model.default_for.includes("generate")).name;
  $("counts").replaceChildren(...Array.from({ length: catalogue.max_count }, (_, index) => countChoice(index + 1)));
  showSizes();
}

function countChoice(number) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "count", value: number, checked: number === 1 });
  label.append(input, String(number));
  return label;
}

function showSizes(selected = $("size").value) {
  const model = models.get($("model").value);
  const choices = model.sizes.map((size) => new Option(sizeLabel(size), size));
  if (model.pixels) choices.push(new Option("Other…", ""));
  $("size").replaceChildren(...choices);
  $("size").value = model.sizes.includes(selected) ? selected : model.default_size;
  $("model-note").textContent = model.description;
  $("size-note").textContent = `For example ${model.default_size}. The model accepts ${model.size}.`;
  showError("size", "");
  toggleOtherSize();
}

function sizeLabel(size) {
  const ratio = ratioOf(size);
  const shape = ratio === 1 ? "square" : ratio > 1 ? "landscape" : "portrait";
  return `${size.replace("x", " × ")}  ·  ${shape}`;
}

function toggleOtherSize() {
  $("other-size").hidden = $("size").value !== "";
}

function showPromptLength() {
  const { length } = [...$("prompt").value.trim()];
  $("prompt-note").textContent = length > maxPrompt * 0.8 ? `${length} of ${maxPrompt} characters` : "";
}

$("model").addEventListener("change", () => showSizes());
$("size").addEventListener("change", () => {
  toggleOtherSize();
  if (!$("other-size").hidden) $("pixels").focus();
});
$("prompt").addEventListener("input", showPromptLength);
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("composer").requestSubmit();
});

/** The last request without a response. Repeating it with the same idempotency key does not generate twice. */
let unconfirmed = null;

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("generate").ariaDisabled === "true") return;
  for (const field of [...FIELDS, "form"]) showError(field, "");
  const body = JSON.stringify({
    prompt: $("prompt").value,
    model: $("model").value,
    size: $("size").value || $("pixels").value.trim() || "none", // invalid on purpose: an empty size would select the default
    count: Number(new FormData($("composer")).get("count")),
  });
  if (unconfirmed?.body !== body) unconfirmed = { body, key: randomKey() };
  $("generate").ariaDisabled = "true";
  try {
    const headers = { "content-type": "application/json", "idempotency-key": unconfirmed.key };
    gallery.add(await api("v1/images/generations", { method: "POST", headers, body }));
    unconfirmed = null;
  } catch (problem) {
    showProblem(problem);
  } finally {
    $("generate").ariaDisabled = "false";
  }
});

/** A random hexadecimal string; crypto.randomUUID is not available over plain HTTP. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function showProblem(problem) {
  if (problem.status === 403) return toggleKeyForm(true, problem.message);
  const others = problem.errors.filter(({ field }) => !FIELDS.includes(field));
  for (const { field, message } of problem.errors) if (FIELDS.includes(field)) showError(field, message);
  if (others.length || !problem.errors.length) {
    showError("form", [problem.message, ...others.map(({ message }) => message)].join(" "));
  }
  $("composer").querySelector("[aria-invalid=true]")?.focus();
}

/** Show an error beside a field; an empty message removes it. */
function showError(field, message) {
  $(`${field}-error`).textContent = message;
  const controls = [...document.querySelectorAll(`[aria-describedby~="${field}-error"]`)];
  for (const control of controls) control.removeAttribute("aria-invalid");
  if (message) controls.findLast((control) => control.checkVisibility())?.setAttribute("aria-invalid", "true");
}

// ---------------------------------------------------------------- one task

class Card {
  #rendered; // status and URLs
  #updatedAt; // ms since 1970, when the URLs were issued

  constructor(task) {
    this.element = $("task").content.cloneNode(true).firstElementChild;
    this.#fill(task);
    this.update(task);
    this.#part(".again").addEventListener("click", () => reuse(this.task));
    this.element.addEventListener("click", (event) => this.#refreshLink(event), true);
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }

  /** Fill in the fields that never change. */
  #fill({ task_id, prompt, model, size, count, created_at }) {
    const { columns, tile } = layout(ratioOf(size), count);
    this.element.style.setProperty("--columns", columns);
    this.element.style.setProperty("--tile", tile);
    this.#part("article").setAttribute("aria-labelledby", `prompt-${task_id}`);
    Object.assign(this.#part(".prompt"), { id: `prompt-${task_id}`, textContent: prompt, title: prompt });
    this.#part(".model").textContent = model;
    this.#part(".size").textContent = size.replace("x", " × ");
    const created = new Date(created_at);
    Object.assign(this.#part("time"), {
      dateTime: created_at,
      textContent: created.toLocaleString(undefined, SHORT_TIME),
      title: created.toLocaleString(undefined, FULL_TIME),
    });
  }

  update(task) {
    this.task = task;
    this.#updatedAt = Date.now();
    const urls = task.images.map((image) => image.url).join();
    if (this.#rendered === task.status + urls) return;
    this.#rendered = task.status + urls;
    const article = this.#part("article");
    article.className = !TERMINAL.has(task.status) ? "busy" : task.status === "succeeded" ? "" : "bad";
    const images = task.images.map((image, n) => this.#image(image, n));
    this.#part(".images").replaceChildren(...(images.length ? images : [this.#state()]));
    const several = images.length > 1;
    const links = task.images.map((image, n) => this.#link(image, n, several));
    this.#part(".downloads").replaceChildren(several ? "Download" : "", ...links);
  }

  #image({ url, width, height }, n) {
    const link = imageLink(url, n);
    link.tabIndex = -1; // the download link below has the same URL
    const image = document.createElement("img");
    Object.assign(image, { alt: `Image ${n + 1}: ${this.task.prompt}`, loading: "lazy", decoding: "async" });
    if (width && height) Object.assign(image, { width, height });
    image.addEventListener("error", () => this.#isFresh() || this.refresh().catch(() => {}));
    image.src = url;
    link.append(image);
    return link;
  }

  #link({ url, archived }, n, several) {
    const link = imageLink(url, n);
    link.textContent = (several ? `${n + 1}` : "Download") + (archived ? "" : " (not stored, expires soon)");
    if (several) link.ariaLabel = `Download ${link.textContent}`;
    return link;
  }

  #state() {
    const paragraph = document.createElement("p");
    const heading = document.createElement("strong");
    const [title, explanation] = STATUS_TEXT[this.task.status];
    paragraph.className = "state";
    heading.textContent = title;
    paragraph.append(heading, this.task.error?.message || explanation);
    return paragraph;
  }

  async refresh() {
    this.update(await api(`v1/tasks/${this.task.task_id}`));
  }

  #isFresh() {
    return Date.now() - this.#updatedAt < MAX_URL_AGE;
  }

  /** Get a new URL before following a link whose URL may have expired. */
  async #refreshLink(event) {
    const link = event.target.closest("a");
    if (!link || this.#isFresh()) return;
    event.preventDefault();
    await this.refresh().catch(() => {});
    window.open(this.task.images[link.dataset.index]?.url ?? link.href, "_blank", "noopener,noreferrer");
  }

  /** Poll until the task has an outcome or the card is removed. */
  async poll() {
    for (let wait = 600; !TERMINAL.has(this.task.status); wait = Math.min(wait * 1.25, 8000)) {
      await pause(wait);
      if (!this.element.isConnected) return;
      const before = this.task.status;
      try {
        await this.refresh();
      } catch (problem) {
        if (problem.status === 404) return gallery.remove(this);
        if (problem.status === 403) return toggleKeyForm(true, problem.message);
        continue; // the network or the service may recover
      }
      if (this.task.status !== before) announce(this.task);
    }
  }
}

/** A link that opens an image in a new tab. */
function imageLink(url, index) {
  const link = Object.assign(document.createElement("a"), { href: url, target: "_blank", rel: "noopener noreferrer" });
  link.dataset.index = index;
  return link;
}

function announce({ status, prompt, images, error }) {
  const ready = images.length === 1 ? "the image is ready" : `${images.length} images are ready`;
  const text = { succeeded: ready, failed: `failed. ${error?.message ?? ""}` };
  $("status").textContent = `${prompt.slice(0, 80)}: ${text[status] ?? status}`;
}

function reuse({ prompt, model, size, count }) {
  $("prompt").value = prompt;
  if (models.has(model)) $("model").value = model;
  showSizes(size);
  if ($("size").value !== size && models.get($("model").value).pixels) {
    $("size").value = "";
    $("pixels").value = size;
    toggleOtherSize();
  }
  for (const choice of $("counts").querySelectorAll("input")) choice.checked = Number(choice.value) === count;
  showPromptLength();
  $("prompt").focus();
}

/** Width / height of a size in pixels or of a ratio. */
function ratioOf(size) {
  const [width, height] = size.match(/\d+/g)?.map(Number) ?? [1, 1];
  return width / height;
}

/** The number of columns that brings the grid of a task's images closest to TARGET_RATIO, and the grid's ratio. */
function layout(ratio, count) {
  const gridRatio = (columns) => (ratio * columns ** 2) / count;
  const distance = (columns) => Math.abs(Math.log(gridRatio(columns) / TARGET_RATIO));
  const [columns] = [1, 2, 3, 4].filter((n) => count % n === 0).sort((a, b) => distance(a) - distance(b));
  return { columns, tile: Math.min(Math.max(gridRatio(columns), 0.75), 2.4) };
}

/** Wait, and then until the tab is visible. */
async function pause(milliseconds) {
  await new Promise((done) => setTimeout(done, milliseconds));
  if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

// ---------------------------------------------------------------- the gallery

const gallery = {
  cards: new Map(),
  cursor: null,
  loading: false,
  session: 0, // number of the sign-in; responses to requests of an earlier one are discarded

  open() {
    this.session += 1;
    this.cards.clear();
    $("gallery").replaceChildren();
    this.cursor = "";
    this.loading = false;
    this.more();
  },

  /** Show a new task. A repeated request can return a task that is already shown. */
  add(task) {
    $("empty").hidden = true;
    announce(task);
    this.insert(task, "prepend");
  },

  insert(task, method) {
    if (this.cards.has(task.task_id)) return;
    const card = new Card(task);
    this.cards.set(task.task_id, card);
    $("gallery")[method](card.element);
    if (!TERMINAL.has(task.status)) card.poll();
  },

  remove(card) {
    this.cards.delete(card.task.task_id);
    card.element.remove();
  },

  async more() {
    if (this.loading || this.cursor === null) return;
    this.loading = true;
    const { session } = this;
    $("gallery-error").textContent = "";
    try {
      const page = await api(`v1/tasks?limit=${PAGE_SIZE}${this.cursor && `&cursor=${encodeURIComponent(this.cursor)}`}`);
      if (session !== this.session) return;
      for (const task of page.tasks) this.insert(task, "append");
      this.cursor = page.cursor;
      $("more").hidden = !page.cursor;
      $("empty").hidden = this.cards.size > 0;
      // Observing again reports the button once more if it is still visible.
      moreObserver.unobserve($("more"));
      moreObserver.observe($("more"));
    } catch (problem) {
      if (session !== this.session) return;
      $("gallery-error").textContent = problem.message;
      $("more").hidden = false; // to retry
    } finally {
      if (session === this.session) this.loading = false;
    }
  },
};

const moreObserver = new IntersectionObserver(([entry]) => entry.isIntersecting && gallery.more(), {
  rootMargin: "400px",
});
$("more").addEventListener("click", () => gallery.more());

// ---------------------------------------------------------------- start

const remembered = localStorage.getItem(STORAGE_KEY);
const stored = remembered ?? sessionStorage.getItem(STORAGE_KEY);
$("remember").checked = remembered !== null || stored === null;
if (stored) signIn(stored);
else toggleKeyForm(true);
