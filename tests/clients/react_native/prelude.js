/*
 * The native side as React Native's JavaScript sees it, in plain old JavaScript, for it runs before anything else does:
 * modules whose methods are calls to the host process, timers, and what the host tells. One JSON object a line each way.
 */
(function () {
  var global = globalThis;
  var held = {};
  var names = 0;
  var factories = {};
  var SAYS = "\u0001";

  function say(message) {
    print(SAYS + JSON.stringify(message));
  }

  function hold(what) {
    names += 1;
    held[names] = what;
    return names;
  }

  function call(module, method, args) {
    var told = Array.prototype.map.call(args, function (one) {
      return typeof one === "function" ? { callback: hold(one) } : { plain: one === undefined ? null : one };
    });
    say({ call: module + "." + method, args: told });
  }

  function calls(module, methods) {
    var made = {};
    methods.forEach(function (method) {
      made[method] = function () {
        call(module, method, arguments);
      };
    });
    return made;
  }

  function promised(module, method) {
    return function () {
      var args = Array.prototype.slice.call(arguments);
      return new Promise(function (resolve) {
        call(module, method, args.concat(resolve));
      });
    };
  }

  function no() {
    return false;
  }

  var version = { major: 0, minor: 83, patch: 9, prerelease: null };
  var constants = { Version: 35, Release: "15", Model: "", reactNativeVersion: version, isTesting: true, uiMode: "normal" };
  var blobs = calls("Blobs", ["addNetworkingHandler", "createFromParts", "release"]);
  blobs.getConstants = function () {
    return { BLOB_URI_SCHEME: "content", BLOB_URI_HOST: null };
  };
  var modules = {
    PlatformConstants: {
      getConstants: function () {
        return constants;
      },
    },
    Networking: calls("Networking", ["sendRequest", "abortRequest"]),
    BlobModule: blobs,
    FileReaderModule: { readAsText: promised("Blobs", "readAsText") },
    RNCAsyncStorage: calls("Storage", ["multiGet", "multiSet", "multiRemove"]),
    Host: calls("Host", ["answer", "fail", "keepIn"]),
    ExceptionsManager: calls("Host", ["reportException"]),
    NativeReactNativeFeatureFlagsCxx: { enableIntersectionObserverByDefault: no, enableMutationObserverByDefault: no },
    NativeMicrotasksCxx: {
      queueMicrotask: function (callback) {
        Promise.resolve().then(callback);
      },
    },
  };

  global.nativeModuleProxy = {};
  global.__turboModuleProxy = function (name) {
    return modules[name] || null;
  };
  // As with the new architecture: timers are native, and nothing goes over a bridge.
  global.RN$Bridgeless = true;
  global.RN$registerCallableModule = function (name, factory) {
    factories[name] = factory;
  };

  global.nativeLoggingHook = function (words) {
    call("Host", "complain", [words]);
  };

  function timer(repeats) {
    return function (callback, ms) {
      var args = Array.prototype.slice.call(arguments, 2);
      var id = hold(function () {
        if (!repeats) delete held[id];
        callback.apply(undefined, args);
      });
      say({ timer: id, ms: Number(ms) || 0, repeats: repeats });
      return id;
    };
  }
  function clear(id) {
    if (!(id in held)) return;
    delete held[id];
    say({ clear: id });
  }
  global.setTimeout = timer(false);
  global.setInterval = timer(true);
  global.clearTimeout = global.clearInterval = clear;
  global.requestAnimationFrame = function (callback) {
    return global.setTimeout(callback, 16);
  };

  global.__fromHost = function (message) {
    if (message.event) {
      var emitter = factories.RCTDeviceEventEmitter();
      emitter.emit(message.event, message.args);
    } else if (message.order) {
      global.__order(message.order);
    } else if (held[message.held]) {
      held[message.held].apply(undefined, message.args || []);
    }
  };
  global.__forget = function (id) {
    delete held[id];
  };
})();
