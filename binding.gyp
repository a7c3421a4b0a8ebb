{
  "targets": [
    {
      "target_name": "msg_zerocopy",
      "conditions": [
        ["OS!='linux'", { "type": "none" }],
        ["OS=='linux'", {
          "sources": ["<!@(node scripts/sources.mjs addon)"],
          "include_dirs": ["native"],
          "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_GNU_SOURCE", "MSG_ZEROCOPY_VERSION=<!(node -p \"require('./package.json').version\")"],
          "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
          "cflags_cc": ["-std=c++17", "-Wshadow", "-Wconversion", "-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
          "cflags_cc!": ["-std=gnu++14", "-std=gnu++17", "-std=gnu++20"]
        }]
      ]
    }
  ]
}
