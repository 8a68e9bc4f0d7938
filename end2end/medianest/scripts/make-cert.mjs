// Makes the proxy's certificate, signed by an authority of this example's own, with the system's openssl. A certificate
// that holds for another month is kept.
//   npm run tls:make -- [--days 90] [--force]
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./lib/env.mjs";

const { values: flags } = parseArgs({ options: { days: { type: "string", default: "90" }, force: { type: "boolean", default: false } } });
if (!/^-?\d+$/.test(flags.days)) fail(`"${flags.days}" is no number of days`);
const MONTH_MS = 30 * 86_400_000;
const folder = join(root, "tls");
const path = (name) => join(folder, name);
mkdirSync(folder, { recursive: true, mode: 0o700 });

if (!existsSync(path("ca.pem")) || !existsSync(path("ca.key"))) {
  openssl("req", "-x509", ...key("ca.key"), "-days", "3650", "-subj", "/CN=MediaNest staging authority", "-out", path("ca.pem"));
}
if (!flags.force && holds()) {
  console.log("tls:make: the certificate holds for another month");
  process.exit(0);
}
writeFileSync(path("names.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n");
openssl("req", ...key("server.key"), "-subj", "/CN=localhost", "-out", path("server.csr"));
openssl("x509", "-req", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-days", flags.days,
  "-extfile", path("names.ext"), "-out", path("server.pem"));
for (const name of ["server.csr", "names.ext"]) rmSync(path(name));
console.log(`tls:make: tls/server.pem, valid until ${new X509Certificate(readFileSync(path("server.pem"))).validTo}`);

function holds() {
  if (!existsSync(path("server.pem")) || !existsSync(path("server.key"))) return false;
  return Date.parse(new X509Certificate(readFileSync(path("server.pem"))).validTo) - Date.now() > MONTH_MS;
}

/** A new P-256 key beside a request; openssl writes it for its owner alone. */
function key(name) {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path(name)];
}

function openssl(...words) {
  const done = spawnSync("openssl", words, { encoding: "utf8" });
  if (done.error) fail(`openssl could not be started: ${done.error.message}`);
  if (done.status !== 0) fail(done.stderr.trim());
}

function fail(message) {
  console.error(`tls:make: ${message}`);
  process.exit(1);
}
