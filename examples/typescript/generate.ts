// Generates an image with fluxgate and prints its URL. Node 22.6 or newer runs it without a build and without packages:
//
//   FLUXGATE_URL=http://127.0.0.1:3000 FLUXGATE_KEY=local-key \
//     node --experimental-strip-types examples/typescript/generate.ts "A red fox in deep snow"

interface Task {
  task_id: string;
  status: "queued" | "processing" | "succeeded" | "failed" | "expired";
  images: { url: string }[];
  error: { code: string; message: string } | null;
}

interface Problem {
  code: string;
  detail: string;
  errors: { field: string; message: string }[];
}

const { FLUXGATE_URL = "", FLUXGATE_KEY = "" } = process.env;
const HEADERS = { "x-api-key": FLUXGATE_KEY, "content-type": "application/json" };

async function call(path: string, request: RequestInit): Promise<Task> {
  const response = await fetch(FLUXGATE_URL + path, { ...request, signal: AbortSignal.timeout(35_000) });
  if (response.ok) return (await response.json()) as Task;
  const problem = (await response.json()) as Problem;
  const fields = problem.errors.map(({ field, message }) => `\n  ${field}: ${message}`);
  throw new Error(`${problem.code}: ${problem.detail}${fields.join("")}`);
}

async function generate(prompt: string): Promise<string[]> {
  let task = await call("/v1/images/generations", {
    method: "POST",
    body: JSON.stringify({ prompt, model: "flux-dev", size: "1024x768" }),
    headers: { ...HEADERS, "Idempotency-Key": crypto.randomUUID() }, // repeat with the same key: the same task
  });
  while (task.status === "queued" || task.status === "processing") {
    await new Promise((resolve) => setTimeout(resolve, 2000));
    task = await call(`/v1/tasks/${task.task_id}`, { headers: HEADERS });
  }
  if (task.status === "succeeded") return task.images.map(({ url }) => url);
  const reason = task.error ? `: ${task.error.code}: ${task.error.message}` : ""; // an expired task has no error
  throw new Error(`${task.task_id} ${task.status}${reason}`);
}

generate(process.argv[2] ?? "A red fox in deep snow").then(
  (urls) => console.log(urls.join("\n")),
  (error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
