// Questions to the service. A refusal becomes an Error with the service's own words.

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer. Is it still running?");
  }
  let content = null;
  try {
    content = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (!response.ok || content === null) {
    const refusal = new Error(reason(response, content));
    refusal.status = response.status;
    throw refusal;
  }
  return content;
}

function reason(response, content) {
  if (content?.error?.message) return content.error.message;
  if (response.status === 429 || response.status === 503) {
    return "The service is busy. Try again in a moment.";
  }
  return `The service answered with status ${response.status}.`;
}

/** What a GET with a query answers. */
export function ask(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const words = new URLSearchParams(given).toString();
  return answer(words ? `${path}?${words}` : path, { signal });
}

/** What a POST of JSON answers. */
export function send(path, body, signal = undefined) {
  return answer(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}
