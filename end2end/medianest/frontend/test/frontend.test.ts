import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Logger } from "@medianest/shared";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createFrontend } from "../src/app.js";

const API = "http://127.0.0.1:3000";
const server = createFrontend({
  apiUrl: API,
  release: { version: "1.0.0<b>", commit: "abc", faults: [] },
  publicFolder: fileURLToPath(new URL("../public", import.meta.url)),
  log: new Logger("frontend", () => {}),
});
let url = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test("the page may talk to the API and shows its version as text", async () => {
  const answer = await fetch(url);
  expect(answer.headers.get("content-security-policy")).toContain(`connect-src 'self' ${API}`);
  expect(await answer.text()).toContain("1.0.0&#60;b&#62;");
});

test("the API's address is given at run time", async () => {
  expect(await (await fetch(`${url}/config.json`)).json()).toMatchObject({ apiUrl: API });
});

test("health names the version", async () => {
  expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: "ok", commit: "abc" });
});

test.each(["/app.js", "/app.css"])("%s is served", async (path) => {
  expect((await fetch(`${url}${path}`)).status).toBe(200);
});

test.each(["/package.json", "/../package.json", "/%2e%2e/package.json"])("%s is not served", async (path) => {
  expect((await fetch(`${url}${path}`)).status).toBe(404);
});

test("only reading is possible", async () => {
  expect((await fetch(url, { method: "POST" })).status).toBe(405);
});
