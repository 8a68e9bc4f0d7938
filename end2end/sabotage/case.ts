// One fault in the example, and its expected effect.
import type { Stage } from "./stage.ts";

/**
 * What a case needs before it is applied: `files` only the repository, `stack` a deployed release, `points` two
 * releases that have passed gate F.
 */
export type Needs = "files" | "stack" | "points";

export interface Case {
  name: string;
  /** The fault, in a few words. */
  what: string;
  needs: Needs;
  /** Exactly the items that must fail or become inconclusive. Empty: no item may change. */
  breaks: string[];
  /** A pattern that the result of a failed check, or a blocker, must match. It names the cause. */
  says?: RegExp;
  /** A blocker of the verdict that must appear, for faults that concern no criterion. */
  blocker?: RegExp;
  /** Gates in which preflight must report a finding that breaks. */
  preflight?: string[];
  /** Slow checks that this case runs; the quick ones always run. */
  checks?: string[];
  /** No check is run: earlier evidence must become stale without that. */
  watched?: boolean;
  apply(stage: Stage): Promise<void> | void;
  /** Undoes the fault. Changes through `stage.edit` and `stage.env` are undone without it. */
  undo?(stage: Stage): Promise<void> | void;
}
