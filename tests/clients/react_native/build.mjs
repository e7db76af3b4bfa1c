/**
 * `node build.mjs APP`: what React Native's bundler makes of `APP/entry.ts`, as for a release build for Android, into
 * `APP/bundle.js`.
 */

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const require = createRequire(import.meta.url);
const Metro = require("metro");
const { getDefaultConfig, mergeConfig } = require("@react-native/metro-config");

const app = process.argv[2];
const defaults = await getDefaultConfig(app);
const config = mergeConfig(defaults, {
  projectRoot: app,
  watchFolders: [app, here + "node_modules"],
  resolver: { nodeModulesPaths: [here + "node_modules"] },
  transformer: { babelTransformerPath: require.resolve("@react-native/metro-babel-transformer") },
  maxWorkers: 2,
  resetCache: true,
  reporter: { update: (event) => event.type.endsWith("error") && console.error(event) },
});
await Metro.runBuild(config, { entry: "entry.ts", platform: "android", dev: false, minify: false, out: `${app}/bundle.js` });
