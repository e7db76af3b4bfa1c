// Asks by OpenFeature's SDKs and their OFREP providers as they come from npm, and prints what they told, a line each.
//
// One argument, JSON: `provider` ("server" or "web"), `baseUrl`, `token`, `context`, `asks` ([method, key, default]);
// for the web provider also `again` (a context to change to) and `until` (an ask, told when something has changed).

const asked = JSON.parse(process.argv[2]);
const options = { baseUrl: asked.baseUrl, headers: [["Authorization", `Bearer ${asked.token}`]] };

function say(told) {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

async function onServer() {
  const { OpenFeature } = await import("@openfeature/server-sdk");
  const { OFREPProvider } = await import("@openfeature/ofrep-provider");
  await OpenFeature.setProviderAndWait(new OFREPProvider(options));
  const client = OpenFeature.getClient();
  for (const [method, key, fallback, context] of asked.asks) {
    say(await client[method](key, fallback, { ...asked.context, ...context }));
  }
  await OpenFeature.close();
}

async function inBrowser() {
  const { OpenFeature, ProviderEvents } = await import("@openfeature/web-sdk");
  const { OFREPWebProvider } = await import("@openfeature/ofrep-web-provider");
  await OpenFeature.setContext(asked.context);
  const provider = new OFREPWebProvider({ ...options, cacheMode: "disabled", pollInterval: asked.until ? 50 : 0 });
  try {
    await OpenFeature.setProviderAndWait(provider);
  } catch (error) {
    say({ refused: `${error.name}: ${error.message}` });
  }
  const client = OpenFeature.getClient();
  const tell = ([method, key, fallback]) => client[method](key, fallback);
  asked.asks.forEach((ask) => say(tell(ask)));
  if (asked.again) {
    await OpenFeature.setContext(asked.again);
    asked.asks.forEach((ask) => say(tell(ask)));
  }
  if (asked.until) {
    const changed = new Promise((resolve) => {
      client.addHandler(ProviderEvents.ConfigurationChanged, (event) => resolve(event.flagsChanged));
    });
    say("edit now");
    say({ changed: await changed, ...tell(asked.until) });
  }
  await OpenFeature.close();
}

await (asked.provider === "web" ? inBrowser() : onServer());
