/** What Metro bundles: React Native's own start, without its views, and the client as the contract suite drives it. */

import "react-native/Libraries/Core/setUpGlobals";
import "react-native/Libraries/Core/setUpPerformance";
import "react-native/Libraries/Core/polyfillPromise";
import "react-native/Libraries/Core/setUpTimers";
import "react-native/Libraries/Core/setUpRegeneratorRuntime";
import "react-native/Libraries/Core/setUpXHR";
import "react-native/Libraries/Core/setUpNavigator";
import "react-native/Libraries/Core/setUpBatchedBridge";

import AsyncStorage from "@react-native-async-storage/async-storage";
import { TextStore } from "@guestprefs/client";

import { Driver, answerTo } from "./driver";
import { follow } from "./following";

interface Host {
  answer(line: string): void;
  /** What no adapter survives. */
  fail(why: string): void;
  keepIn(path: string): void;
}

// Given by prelude.js, and asked by it.
declare const globalThis: { __turboModuleProxy(name: string): Host; __order(line: string): void };
const host = globalThis.__turboModuleProxy("Host");

const driver = new Driver({
  store: (path, secret) => {
    if (secret) throw new Error("there is no WebCrypto to seal with");
    host.keepIn(path);
    return new TextStore(AsyncStorage);
  },
  turn: () => new Promise((resolve) => setTimeout(resolve, 0)),
});

globalThis.__order = (line) => {
  const order = JSON.parse(line);
  const done =
    order["do"] === "follow"
      ? follow({ env: order["env"] }, { log: (...words: unknown[]) => host.answer(words.join(" ")) })
      : answerTo(driver, line).then((answer) => host.answer(answer));
  done.catch((error: Error) => host.fail(`${error.message}\n${error.stack}`));
};
