// The parts of `/board.json` that are used here.

export type Standing = "pass" | "fail" | "inconclusive" | "stale" | "missing";

export interface Check {
  id: string;
  proves: string[];
  standing: Standing;
  stale: string[];
  saw: string;
  wanted: string;
  next: string;
  value: number | null;
  run: number | null;
  running: boolean;
}

export interface Item {
  id: string;
  text: string;
  digest: string;
  status: string;
  why: string[];
  proof: string;
  needs_word: boolean;
  checks: string[];
}

export interface Gate {
  id: string;
  state: string;
  digest: string;
  items: Item[];
}

export interface Board {
  release: { id: number; state: string; commit: string | null; images: Record<string, string> } | null;
  moved_on: string | null;
  drift: string[];
  verdict: { go: boolean; label: string; blockers: { what: string; details: string[] }[] };
  gates: Gate[];
  checks: Check[];
  problems: string[];
  services: { name: string; health: string; image: string }[];
  running: number[];
}

/** Every item of every gate. */
export const items = (board: Board): Item[] => board.gates.flatMap((gate) => gate.items);

export const check = (board: Board, id: string): Check => {
  const found = board.checks.find((c) => c.id === id);
  if (!found) throw new Error(`the board has no check ${id}`);
  return found;
};
