#!/usr/bin/env bash
# Generates an image with fluxgate and prints its URL. Needs curl 7.76 or newer, and jq.
#
#   FLUXGATE_URL=http://127.0.0.1:3000 FLUXGATE_KEY=local-key examples/curl/generate.sh "A red fox in deep snow"
set -euo pipefail
: "${FLUXGATE_URL:?Set FLUXGATE_URL to the URL of the API}" "${FLUXGATE_KEY:?Set FLUXGATE_KEY to an API key}"
prompt=${1-A red fox in deep snow}

# Prints the response body. On a problem response, explains it and exits.
call() {
  local body
  if ! body=$(curl --silent --show-error --fail-with-body --max-time 35 --header "x-api-key: $FLUXGATE_KEY" "$@"); then
    jq --raw-output '"\(.code): \(.detail)", (.errors[] | "  \(.field): \(.message)")' <<<"$body" >&2
    exit 1
  fi
  echo "$body"
}

# A request that is repeated with the same Idempotency-Key returns the same task and costs nothing more.
task=$(jq --null-input --arg prompt "$prompt" '{prompt: $prompt, model: "flux-dev", size: "1024x768"}' |
  call "$FLUXGATE_URL/v1/images/generations" --data @- --header 'content-type: application/json' \
    --header "Idempotency-Key: $(date +%s)-$RANDOM$RANDOM")
task_id=$(jq --raw-output .task_id <<<"$task")

while status=$(jq --raw-output .status <<<"$task") && [[ $status == queued || $status == processing ]]; do
  echo "$task_id: $status" >&2
  sleep 2
  task=$(call "$FLUXGATE_URL/v1/tasks/$task_id")
done

if [[ $status != succeeded ]]; then
  # An expired task has no error.
  jq --raw-output '"\(.task_id) \(.status)" + (.error | if . then ": \(.code): \(.message)" else "" end)' <<<"$task" >&2
  exit 1
fi
jq --raw-output '.images[].url' <<<"$task"
