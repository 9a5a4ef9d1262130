// A connection that stays: it comes again when it is lost, and is replaced before the service ends it.

import { Parts } from "./parts.js";

const OPEN_MS = 20_000; // to connect
const PING_MS = 5 * 60_000; // API Gateway ends a connection that is idle for 10 minutes
const PONG_MS = 30_000; // as long as API Gateway waits for what is behind it
const OLD_MS = 5_000; // what is under way to the connection that is replaced
const SHORTEST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

export class Connection {
  #credentials;
  #onFrame;
  #onState;
  #parts = new Parts();
  #socket = null; // the one in use
  #next = null; // the one that is being opened
  #failures = 0;
  #timers = {};

  /**
   * @param credentials Gives `{url, token}`, anew for each connection: a token may have expired.
   * @param onFrame Takes a frame.
   * @param onState Takes "connecting", "open", "offline" or "waiting", and how often it failed since it was last open.
   */
  constructor({ credentials, onFrame, onState }) {
    this.#credentials = credentials;
    this.#onFrame = onFrame;
    this.#onState = onState;
    addEventListener("online", () => this.retry());
    addEventListener("offline", () => this.#lose());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
  }

  get open() {
    return this.#socket !== null;
  }

  /** Send a message and say whether there was a connection to send it by. */
  send(message) {
    this.#socket?.send(JSON.stringify(message));
    return this.open;
  }

  /** Connect at once, whatever the wait was to be. */
  retry() {
    this.#drop("next");
    this.#connect();
  }

  /** Take the connection for lost: nothing came that should have come. */
  renew() {
    this.#drop("socket");
    this.#failures += 1;
    this.#lose();
  }

  async #connect() {
    clearTimeout(this.#timers.wait);
    if (this.#next) return;
    const mine = (this.#next = { socket: null });
    if (!this.open) this.#onState("connecting", this.#failures);
    this.#timers.open = setTimeout(() => this.#failed(mine), OPEN_MS);
    try {
      const { url, token } = await this.#credentials();
      if (this.#next !== mine) return;
      mine.socket = new WebSocket(url, ["bearer", token]); // not in the address, which others write down
    } catch {
      this.#failed(mine);
      return;
    }
    mine.socket.onopen = () => this.#opened(mine);
    mine.socket.onclose = () => this.#failed(mine);
  }

  #opened(mine) {
    clearTimeout(this.#timers.open);
    this.#next = null;
    const old = this.#socket;
    const socket = (this.#socket = mine.socket);
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = () => this.#socket === socket && this.renew();
    setTimeout(() => old?.close(), OLD_MS);
    clearTimeout(this.#timers.pong);
    clearTimeout(this.#timers.ping);
    this.#timers.ping = setTimeout(() => this.#ping(), PING_MS);
    this.#onState("open", 0);
  }

  #failed(mine) {
    if (this.#next !== mine) return;
    this.#drop("next");
    this.#failures += 1;
    this.#lose();
  }

  /** Wait for the next attempt, unless there is another connection. */
  #lose() {
    if (!navigator.onLine) {
      this.#drop("socket");
      this.#drop("next");
      clearTimeout(this.#timers.wait);
      this.#onState("offline", this.#failures);
    } else if (!this.open && !this.#next) {
      const longest = Math.min(LONGEST_WAIT_MS, SHORTEST_WAIT_MS * 2 ** this.#failures);
      const wait = longest * (0.5 + Math.random() / 2); // not all pages at once, when the service was away
      clearTimeout(this.#timers.wait);
      this.#timers.wait = setTimeout(() => this.#connect(), wait);
      this.#onState("waiting", this.#failures);
    }
  }

  #drop(which) {
    const dropped = which === "socket" ? this.#socket : this.#next?.socket;
    if (which === "socket") {
      this.#socket = null;
      clearTimeout(this.#timers.ping);
      clearTimeout(this.#timers.pong);
    } else {
      this.#next = null;
      clearTimeout(this.#timers.open);
    }
    if (!dropped) return;
    dropped.onopen = dropped.onmessage = dropped.onclose = null;
    dropped.close();
  }

  #received(data) {
    this.#failures = 0;
    clearTimeout(this.#timers.pong);
    const frame = this.#parts.frame(data);
    if (frame === null) return;
    if (frame.reconnect === true) this.#connect(); // the old one goes when the new one is there
    this.#onFrame(frame);
  }

  #ping() {
    clearTimeout(this.#timers.ping);
    clearTimeout(this.#timers.pong);
    this.send({ route: "ping" });
    this.#timers.pong = setTimeout(() => this.renew(), PONG_MS);
    this.#timers.ping = setTimeout(() => this.#ping(), PING_MS);
  }

  /** A phone that slept may hold a connection that is none any more. */
  #wake() {
    if (this.open) this.#ping();
    else this.retry();
  }
}
