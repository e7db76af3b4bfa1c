/** Server-sent events, read from text as it comes (the "event stream interpretation" of the HTML standard). */

export interface StreamEvent {
  /** Empty where an event says nothing but where the stream stands. */
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

export class EventParser {
  #begun = false;
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id: string | undefined;

  /** What ends within this piece. Half a line waits for its other half. */
  feed(piece: string): StreamEvent[] {
    const text = this.#rest + (this.#begun ? piece : piece.replace(/^\uFEFF/, ""));
    this.#begun ||= piece !== "";
    // A CR at the very end may be half of a CRLF.
    const lines = text.replace(/\r\n/g, "\n").split(/\n|\r(?=[^])/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): StreamEvent[] {
    if (line === "") return this.#dispatch();
    const [, name, value] = /^([^:]*)(?:: ?([^]*))?$/.exec(line)!;
    if (name === "event") this.#event = value ?? "";
    else if (name === "data") this.#data.push(value ?? "");
    else if (name === "id" && !value?.includes("\0")) this.#id = value ?? "";
    return [];
  }

  #dispatch(): StreamEvent[] {
    const [event, data, id] = [this.#event, this.#data, this.#id];
    [this.#event, this.#data, this.#id] = ["", [], undefined];
    if (!data.length) return id === undefined ? [] : [{ event: "", data: "", id }];
    return [{ event: event || "message", data: data.join("\n"), id: id ?? "" }];
  }
}
