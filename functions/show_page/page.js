// The page for people. Everything it shows comes from the API; nothing is inserted as HTML.

const $ = (id) => document.getElementById(id);
const KEY = "fluxgate.key"; // its name in the browser's storage
const PAGE = 20; // tasks that are listed at a time
const FRESH = 30 * 60_000; // ms for which a picture's URL is trusted: it is good for an hour at most
const SETTLED = new Set(["succeeded", "failed", "expired"]);
const WORDS = {
  queued: ["Queued", "Waiting until the provider takes it."],
  processing: ["Processing", "The picture is being made."],
  succeeded: ["No picture", "None could be stored."],
  failed: ["Failed", "The provider gave no reason."],
  expired: ["Expired", "No result came in time. A late one will still be shown."],
};
const SHAPE = 1.2; // width by height that a task's pictures together come close to
const brief = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const exact = { dateStyle: "full", timeStyle: "long" };

// ---------------------------------------------------------------- the API

class Problem extends Error {
  /** `status` is 0 where there was no answer; `errors` names fields. */
  constructor(status, { detail, errors } = {}) {
    super(detail ?? "The service did not answer. Try again.");
    this.status = status;
    this.errors = errors ?? [];
  }
}

let key = "";

/** The JSON of an answer. Raises Problem. */
async function api(path, { headers = {}, ...options } = {}) {
  const request = { ...options, headers: { "x-api-key": key, ...headers }, cache: "no-store" };
  const response = await fetch(path, request).catch(() => null);
  const answer = await response?.json().catch(() => null);
  if (!answer) throw new Problem(0);
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

// ---------------------------------------------------------------- the key

$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await enter($("key").value.trim())) $("prompt").focus();
});

$("forget").addEventListener("click", () => {
  for (const storage of [localStorage, sessionStorage]) storage.removeItem(KEY);
  location.reload();
});

$("change-key").addEventListener("click", () => askForKey($("key-form").hidden));

function askForKey(wanted, reason = "") {
  $("key-form").hidden = !wanted;
  $("change-key").setAttribute("aria-expanded", wanted);
  fault("key", reason);
  if (wanted) $("key").focus();
}

/** Show what belongs to a key, once the API has accepted it. Whether it has. */
async function enter(candidate) {
  $("key").value = candidate;
  try {
    // What cannot be a header's value would fail like a broken network.
    if (!/^[\x21-\x7e]+$/.test(candidate)) throw new Problem(0, { detail: "Paste a key: letters and digits, no spaces." });
    offer(await api("v1/models", { headers: { "x-api-key": candidate } }));
  } catch (problem) {
    askForKey(true, problem.message);
    return false;
  }
  key = candidate;
  const [keeper, other] = $("remember").checked ? [localStorage, sessionStorage] : [sessionStorage, localStorage];
  keeper.setItem(KEY, key);
  other.removeItem(KEY);
  $("key").value = "";
  for (const id of ["change-key", "forget", "composer", "gallery-section"]) $(id).hidden = false;
  askForKey(false);
  gallery.open();
  return true;
}

// ---------------------------------------------------------------- the request

const FIELDS = ["prompt", "model", "size", "count"]; // the API's, each with a place for its error
const models = new Map();
let maxPrompt = Infinity;

function offer(catalogue) {
  maxPrompt = catalogue.max_prompt;
  models.clear();
  for (const model of catalogue.models) if (model.actions.includes("generate")) models.set(model.name, model);
  $("model").replaceChildren(...Array.from(models.keys(), (name) => new Option(name, name)));
  $("model").value = [...models.values()].find((model) => model.default_for.includes("generate")).name;
  $("counts").replaceChildren(...Array.from({ length: catalogue.max_count }, (_, index) => countChoice(index + 1)));
  offerSizes();
}

function countChoice(number) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "count", value: number, checked: number === 1 });
  label.append(input, String(number));
  return label;
}

function offerSizes(wanted = $("size").value) {
  const model = models.get($("model").value);
  const choices = model.sizes.map((size) => new Option(sizeLabel(size), size));
  if (model.pixels) choices.push(new Option("Other…", ""));
  $("size").replaceChildren(...choices);
  $("size").value = model.sizes.includes(wanted) ? wanted : model.default_size;
  $("model-note").textContent = model.description;
  $("size-note").textContent = `For example ${model.default_size}. The model takes ${model.size}.`;
  fault("size", "");
  showOtherSize();
}

function sizeLabel(size) {
  const ratio = ratioOf(size);
  const shape = ratio === 1 ? "square" : ratio > 1 ? "landscape" : "portrait";
  return `${size.replace("x", " × ")}  ·  ${shape}`;
}

function showOtherSize() {
  $("other-size").hidden = $("size").value !== "";
}

function measurePrompt() {
  const { length } = [...$("prompt").value.trim()];
  $("prompt-note").textContent = length > maxPrompt * 0.8 ? `${length} of ${maxPrompt} characters` : "";
}

$("model").addEventListener("change", () => offerSizes());
$("size").addEventListener("change", () => {
  showOtherSize();
  if (!$("other-size").hidden) $("pixels").focus();
});
$("prompt").addEventListener("input", measurePrompt);
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("composer").requestSubmit();
});

/** A request whose answer we never saw. Repeated with its key, it does not buy twice. */
let unanswered = null;

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("generate").ariaDisabled === "true") return;
  for (const field of [...FIELDS, "form"]) fault(field, "");
  const body = JSON.stringify({
    prompt: $("prompt").value,
    model: $("model").value,
    size: $("size").value || $("pixels").value.trim() || "none", // an empty one would mean the default
    count: Number(new FormData($("composer")).get("count")),
  });
  if (unanswered?.body !== body) unanswered = { body, key: randomKey() };
  $("generate").ariaDisabled = "true";
  try {
    const headers = { "content-type": "application/json", "idempotency-key": unanswered.key };
    gallery.begin(await api("v1/images/generations", { method: "POST", headers, body }));
    unanswered = null;
  } catch (problem) {
    explain(problem);
  } finally {
    $("generate").ariaDisabled = "false";
  }
});

/** crypto.randomUUID is missing where the page came over plain http. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function explain(problem) {
  if (problem.status === 403) return askForKey(true, problem.message);
  const elsewhere = problem.errors.filter(({ field }) => !FIELDS.includes(field));
  for (const { field, message } of problem.errors) if (FIELDS.includes(field)) fault(field, message);
  if (elsewhere.length || !problem.errors.length) {
    fault("form", [problem.message, ...elsewhere.map(({ message }) => message)].join(" "));
  }
  $("composer").querySelector("[aria-invalid=true]")?.focus();
}

/** Say beside a field what is wrong with it; an empty message takes it back. */
function fault(field, message) {
  $(`${field}-error`).textContent = message;
  const controls = [...document.querySelectorAll(`[aria-describedby~="${field}-error"]`)];
  for (const control of controls) control.removeAttribute("aria-invalid");
  if (message) controls.findLast((control) => control.checkVisibility())?.setAttribute("aria-invalid", "true");
}

// ---------------------------------------------------------------- one task

class Card {
  #shown;
  #seen; // when its URLs were made

  constructor(task) {
    this.element = $("task").content.cloneNode(true).firstElementChild;
    this.#fill(task);
    this.update(task);
    this.#part(".again").addEventListener("click", () => useAgain(this.task));
    this.element.addEventListener("click", (event) => this.#keepFresh(event), true);
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }

  /** What never changes. */
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
      textContent: created.toLocaleString(undefined, brief),
      title: created.toLocaleString(undefined, exact),
    });
  }

  update(task) {
    this.task = task;
    this.#seen = Date.now();
    const urls = task.images.map((image) => image.url).join();
    if (this.#shown === task.status + urls) return;
    this.#shown = task.status + urls;
    const article = this.#part("article");
    article.className = !SETTLED.has(task.status) ? "busy" : task.status === "succeeded" ? "" : "bad";
    const pictures = task.images.map((image, n) => this.#picture(image, n));
    this.#part(".pictures").replaceChildren(...(pictures.length ? pictures : [this.#state()]));
    const several = pictures.length > 1;
    const links = task.images.map((image, n) => this.#link(image, n, several));
    this.#part(".downloads").replaceChildren(several ? "Download" : "", ...links);
  }

  #picture({ url, width, height }, n) {
    const link = newTab(url, n);
    link.tabIndex = -1; // the same address has a link of its own below
    const picture = document.createElement("img");
    Object.assign(picture, { alt: `Picture ${n + 1}: ${this.task.prompt}`, loading: "lazy", decoding: "async" });
    if (width && height) Object.assign(picture, { width, height });
    picture.addEventListener("error", () => this.#isFresh() || this.refresh().catch(() => {}));
    picture.src = url;
    link.append(picture);
    return link;
  }

  #link({ url, archived }, n, several) {
    const link = newTab(url, n);
    link.textContent = (several ? `${n + 1}` : "Download") + (archived ? "" : " (not stored, will be gone soon)");
    if (several) link.ariaLabel = `Download ${link.textContent}`;
    return link;
  }

  #state() {
    const text = document.createElement("p");
    const word = document.createElement("strong");
    const [title, explanation] = WORDS[this.task.status];
    text.className = "state";
    word.textContent = title;
    text.append(word, this.task.error?.message || explanation);
    return text;
  }

  async refresh() {
    this.update(await api(`v1/tasks/${this.task.task_id}`));
  }

  #isFresh() {
    return Date.now() - this.#seen < FRESH;
  }

  /** A link whose URL may have died gets a new one before it is followed. */
  async #keepFresh(event) {
    const link = event.target.closest("a");
    if (!link || this.#isFresh()) return;
    event.preventDefault();
    await this.refresh().catch(() => {});
    window.open(this.task.images[link.dataset.index]?.url ?? link.href, "_blank", "noopener,noreferrer");
  }

  /** Ask until nothing more will happen, or the card is gone. */
  async follow() {
    for (let wait = 600; !SETTLED.has(this.task.status); wait = Math.min(wait * 1.25, 8000)) {
      await pause(wait);
      if (!this.element.isConnected) return;
      const before = this.task.status;
      try {
        await this.refresh();
      } catch (problem) {
        if (problem.status === 404) return gallery.remove(this);
        if (problem.status === 403) return askForKey(true, problem.message);
        continue; // the network, or the service: it may come back
      }
      if (this.task.status !== before) announce(this.task);
    }
  }
}

/** A link to a task's picture. */
function newTab(url, index) {
  const link = Object.assign(document.createElement("a"), { href: url, target: "_blank", rel: "noopener noreferrer" });
  link.dataset.index = index;
  return link;
}

function announce({ status, prompt, images, error }) {
  const ready = images.length === 1 ? "the picture is ready" : `${images.length} pictures are ready`;
  const news = { succeeded: ready, failed: `failed. ${error?.message ?? ""}` };
  $("status").textContent = `${prompt.slice(0, 80)}: ${news[status] ?? status}`;
}

function useAgain({ prompt, model, size, count }) {
  $("prompt").value = prompt;
  if (models.has(model)) $("model").value = model;
  offerSizes(size);
  if ($("size").value !== size && models.get($("model").value).pixels) {
    $("size").value = "";
    $("pixels").value = size;
    showOtherSize();
  }
  for (const choice of $("counts").querySelectorAll("input")) choice.checked = Number(choice.value) === count;
  measurePrompt();
  $("prompt").focus();
}

/** Width by height, of pixels or of a ratio. */
function ratioOf(size) {
  const [width, height] = size.match(/\d+/g)?.map(Number) ?? [1, 1];
  return width / height;
}

/** The columns that bring a task's pictures closest to SHAPE, and the shape they then have. */
function layout(ratio, count) {
  const together = (columns) => (ratio * columns ** 2) / count;
  const distance = (columns) => Math.abs(Math.log(together(columns) / SHAPE));
  const [columns] = [1, 2, 3, 4].filter((n) => count % n === 0).sort((a, b) => distance(a) - distance(b));
  return { columns, tile: Math.min(Math.max(together(columns), 0.75), 2.4) };
}

/** Not while nobody looks. */
async function pause(milliseconds) {
  await new Promise((done) => setTimeout(done, milliseconds));
  if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

// ---------------------------------------------------------------- the gallery

const gallery = {
  cards: new Map(),
  cursor: null,
  loading: false,
  age: 0, // of keys: what was asked with an earlier one is not shown

  open() {
    this.age += 1;
    this.cards.clear();
    $("gallery").replaceChildren();
    this.cursor = "";
    this.loading = false;
    this.more();
  },

  /** A task that has just been made. The same one comes again where a request was repeated. */
  begin(task) {
    $("empty").hidden = true;
    announce(task);
    this.put(task, "prepend");
  },

  put(task, where) {
    if (this.cards.has(task.task_id)) return;
    const card = new Card(task);
    this.cards.set(task.task_id, card);
    $("gallery")[where](card.element);
    if (!SETTLED.has(task.status)) card.follow();
  },

  remove(card) {
    this.cards.delete(card.task.task_id);
    card.element.remove();
  },

  async more() {
    if (this.loading || this.cursor === null) return;
    this.loading = true;
    const age = this.age;
    $("gallery-error").textContent = "";
    try {
      const page = await api(`v1/tasks?limit=${PAGE}${this.cursor && `&cursor=${encodeURIComponent(this.cursor)}`}`);
      if (age !== this.age) return;
      for (const task of page.tasks) this.put(task, "append");
      this.cursor = page.cursor;
      $("more").hidden = !page.cursor;
      $("empty").hidden = this.cards.size > 0;
      // Observed anew, it reports once more where the button is still in sight.
      scrolled.unobserve($("more"));
      scrolled.observe($("more"));
    } catch (problem) {
      if (age !== this.age) return;
      $("gallery-error").textContent = problem.message;
      $("more").hidden = false; // by hand, then
    } finally {
      if (age === this.age) this.loading = false;
    }
  },
};

const scrolled = new IntersectionObserver(([entry]) => entry.isIntersecting && gallery.more(), { rootMargin: "400px" });
$("more").addEventListener("click", () => gallery.more());

// ---------------------------------------------------------------- the beginning

const remembered = localStorage.getItem(KEY);
const kept = remembered ?? sessionStorage.getItem(KEY);
$("remember").checked = remembered !== null || kept === null;
if (kept) enter(kept);
else askForKey(true);
