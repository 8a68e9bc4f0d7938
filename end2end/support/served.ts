// A copy of the bundled example with its own Stagegate server.
import { Example, type ExampleMemo } from "./example.ts";
import { removeFolder, temporaryFolder } from "./files.ts";
import { type Options, Stagegate, type StagegateMemo } from "./stagegate.ts";

/** The data with which another process can use or remove both. */
export interface ServedMemo {
  example: ExampleMemo;
  server: StagegateMemo;
  data: string;
}

export class Served {
  private constructor(
    readonly example: Example,
    readonly server: Stagegate,
    /** The data directory of the server. */
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

  /** A server and a copy that another process has started. */
  static attach(memo: ServedMemo): Served {
    return new Served(Example.attach(memo.example), Stagegate.attach(memo.server), memo.data);
  }

  get memo(): ServedMemo {
    return { example: this.example.memo, server: this.server.memo, data: this.data };
  }

  /** Stops the server and removes its data and the stack. */
  async remove(): Promise<void> {
    await this.server.stop();
    this.example.remove();
    removeFolder(this.data);
  }
}
