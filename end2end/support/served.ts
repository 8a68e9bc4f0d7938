// A copy of the bundled example, with a server of its own that judges it.
import { Example, type ExampleMemo } from "./example.ts";
import { removeFolder, temporaryFolder } from "./files.ts";
import { type Options, Stagegate, type StagegateMemo } from "./stagegate.ts";

/** What another process needs to use or remove both. */
export interface ServedMemo {
  example: ExampleMemo;
  server: StagegateMemo;
  data: string;
}

export class Served {
  private constructor(
    readonly example: Example,
    readonly server: Stagegate,
    /** Where the server keeps its state. */
    readonly data: string,
  ) {}

  /** `name` names the server's log; `prepare` changes the copy before the server starts. */
  static async start(
    name: string,
    prepare: (example: Example, data: string) => void = () => {},
    options: Options = {},
  ): Promise<Served> {
    const example = await Example.copy();
    const data = temporaryFolder("data");
    prepare(example, data);
    return new Served(example, await Stagegate.serve(example.config, data, name, options), data);
  }

  /** What another process started. */
  static attach(memo: ServedMemo): Served {
    return new Served(Example.attach(memo.example), Stagegate.attach(memo.server), memo.data);
  }

  get memo(): ServedMemo {
    return { example: this.example.memo, server: this.server.memo, data: this.data };
  }

  /** Ends the server and removes whatever it and the stack left. */
  async remove(): Promise<void> {
    await this.server.stop();
    this.example.remove();
    removeFolder(this.data);
  }
}
