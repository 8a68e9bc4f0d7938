import { expect, test } from "vitest";
import { ORIGIN, startApi } from "./support.js";

/** What an API with one fault answers. */
async function withFault(fault: string, ask: (url: string) => Promise<void>) {
  const api = await startApi({}, [fault]);
  try {
    await ask(api.url);
  } finally {
    await api.stop();
  }
}

test("each fault does what its name says, and nothing without it", async () => {
  await withFault("metrics-open", async (url) => expect((await fetch(`${url}/metrics`)).status).toBe(200));
  await withFault("cors-any", async (url) => {
    const answer = await fetch(`${url}/api/media`, { headers: { Origin: "https://stranger.example.net" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  });
  await withFault("any-kind", async (url) => expect((await fetch(`${url}/api/media?kind=opera`)).status).toBe(200));
  await withFault("lost-404", async (url) => expect((await fetch(`${url}/nothing`)).status).toBe(200));
  await withFault("unheard of", async (url) => {
    expect((await fetch(`${url}/metrics`)).status).toBe(401);
    expect((await fetch(`${url}/api/media?kind=opera`)).status).toBe(400);
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    const own = await fetch(`${url}/api/media`, { headers: { Origin: ORIGIN } });
    expect(own.headers.get("access-control-allow-origin")).toBe(ORIGIN);
  });
});

test("every tenth title fails, and the API is slow", async () => {
  await withFault("errors", async (url) => {
    const statuses = [];
    for (let n = 0; n < 10; n += 1) statuses.push((await fetch(`${url}/api/media/1`)).status);
    expect(statuses.filter((status) => status === 500)).toHaveLength(1);
  });
  await withFault("slow", async (url) => {
    const began = Date.now();
    await fetch(`${url}/api/features`);
    expect(Date.now() - began).toBeGreaterThanOrEqual(690);
  });
});

test("without the limit nobody is turned away", async () => {
  await withFault("no-limits", async (url) => {
    for (let n = 0; n < 8; n += 1) expect((await fetch(`${url}/api/auth/login`, { method: "POST" })).status).toBe(400);
  });
});
