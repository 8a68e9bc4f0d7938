// Browsers resolve every name below `localhost` to this host. Node asks the system, which may not know it.
import dns from "node:dns";

const isLocal = (name: string) => name === "localhost" || name.endsWith(".localhost");
const known = (name: string) => (isLocal(name) ? "127.0.0.1" : name);

const { lookup } = dns;
const promised = dns.promises.lookup;
dns.lookup = Object.assign((name: string, ...rest: unknown[]) => Reflect.apply(lookup, dns, [known(name), ...rest]), lookup);
dns.promises.lookup = ((name: string, ...rest: unknown[]) =>
  Reflect.apply(promised, dns.promises, [known(name), ...rest])) as typeof promised;
