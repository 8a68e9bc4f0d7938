// Compares the items that changed with the ones that were expected to change.
import { type Board, type Check, check, items } from "./board.ts";
import type { Case } from "./case.ts";

/** The state before a case, for comparison. */
export interface Before {
  passing: Set<string>;
  blockers: Set<string>;
  preflight: Set<string>;
}

export function standingWell(board: Board): Before {
  return {
    passing: new Set(board.checks.filter((c) => c.standing === "pass").map((c) => c.id)),
    blockers: new Set(lines(board)),
    preflight: new Set(found(board).map(({ id }) => id)),
  };
}

export interface Compared {
  /** Items that should have changed and did not. */
  falseGreen: string[];
  /** Items that changed without a reason. */
  falseRed: string[];
  /** The pattern for the cause, if no text matched it. */
  unnamed: string | undefined;
  /** The results of the failed checks, one line each. */
  said: string[];
}

/** Compares the items with a check that passed before and does not pass now. */
export function compare(spoilt: Case, before: Before, board: Board): Compared {
  const broken = board.checks.filter((c) => before.passing.has(c.id) && c.standing !== "pass");
  const turned = new Set(items(board).filter((item) => item.checks.some((id) => broken.some((c) => c.id === id))).map((item) => item.id));
  for (const { gate, id } of found(board)) {
    if (!before.preflight.has(id)) turned.add(`${gate}.preflight`);
  }
  const wanted = new Set([...spoilt.breaks, ...(spoilt.preflight ?? []).map((gate) => `${gate}.preflight`)]);
  const newBlockers = lines(board).filter((line) => !before.blockers.has(line));
  const said = [...broken.map(words), ...found(board).filter(({ id }) => !before.preflight.has(id)).map(({ id, text }) => `${id}: ${text}`)];
  const falseGreen = [...wanted].filter((id) => !turned.has(id));
  if (spoilt.blocker !== undefined && !newBlockers.some((line) => spoilt.blocker!.test(line))) falseGreen.push("the verdict");
  const heard = [...said, ...newBlockers];
  return {
    falseGreen,
    falseRed: [...turned].filter((id) => !wanted.has(id)),
    unnamed: spoilt.says === undefined || heard.some((line) => spoilt.says!.test(line)) ? undefined : String(spoilt.says),
    said: spoilt.blocker === undefined ? said : heard,
  };
}

/** Whether the board shows the expected blocker and preflight findings. */
export function seenBesideChecks(spoilt: Case, before: Before, board: Board): boolean {
  const blocks = spoilt.blocker === undefined || lines(board).some((line) => !before.blockers.has(line) && spoilt.blocker!.test(line));
  const gates = found(board).filter(({ id }) => !before.preflight.has(id)).map(({ gate }) => gate);
  return blocks && (spoilt.preflight ?? []).every((gate) => gates.includes(gate));
}

/** The differences that are left after the case was undone. */
export function leftBehind(before: Before, board: Board): string[] {
  const checks = [...before.passing].map((id) => check(board, id)).filter((c) => c.standing !== "pass").map(words);
  const preflight = found(board).filter(({ id }) => !before.preflight.has(id)).map(({ id, text }) => `${id}: ${text}`);
  return [...checks, ...preflight];
}

const words = (c: Check): string => `${c.id} (${c.standing}): ${c.standing === "stale" ? c.stale.join("; ") : c.saw}`;

const found = (board: Board) =>
  board.gates.flatMap((gate) => gate.items.filter((i) => i.proof === "preflight").map((i) => ({ gate: gate.id, id: i.id, text: `${i.text} ${i.why.join(" ")}` })));

const lines = (board: Board): string[] => [...board.verdict.blockers.flatMap((b) => [b.what, ...b.details]), ...board.drift];
