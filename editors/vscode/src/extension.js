// Starts `slotlang lsp` and shows its verdict in the status bar.
const vscode = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

async function start(status) {
  const [command, ...args] = vscode.workspace.getConfiguration("slotlang").get("command");
  const server = { command, args, transport: TransportKind.stdio };
  const options = { documentSelector: [{ language: "slot" }] };
  client = new LanguageClient("slotlang", "slotlang", server, options);
  client.onNotification("slotlang/status", (told) => show(status, told));
  try {
    await client.start();
  } catch (problem) {
    const set = "Set the command";
    const chosen = await vscode.window.showErrorMessage(`slotlang: "${command}" does not start: ${problem}`, set);
    if (chosen === set) {
      vscode.commands.executeCommand("workbench.action.openSettings", "slotlang.command");
    }
  }
}

const ICONS = { proved: "$(pass)", refuted: "$(error)", tested: "$(warning)", unknown: "$(question)" };
const known = new Map();

function show(status, told) {
  known.set(vscode.Uri.parse(told.uri).toString(), told);
  refresh(status);
}

function refresh(status) {
  const editor = vscode.window.activeTextEditor;
  const told = editor && known.get(editor.document.uri.toString());
  // a verdict on another version is no verdict
  if (!told || told.version !== editor.document.version) {
    status.hide();
    return;
  }
  const verdicts = told.programs.map((p) => `${ICONS[p.verdict]} ${p.name}: ${p.verdict}`);
  status.text = verdicts.join("  ") || (told.stage === "proving" ? "$(sync~spin) proving" : "");
  if (status.text) {
    status.show();
  } else {
    status.hide();
  }
}

async function stop() {
  if (client) {
    await client.stop().catch(() => {});
    client = undefined;
  }
}

exports.activate = async (context) => {
  const status = vscode.window.createStatusBarItem(vscode.StatusBarAlignment.Left);
  status.name = "slotlang";
  context.subscriptions.push(
    status,
    vscode.window.onDidChangeActiveTextEditor(() => refresh(status)),
    vscode.workspace.onDidChangeTextDocument(() => refresh(status)),
    vscode.workspace.onDidCloseTextDocument((document) => known.delete(document.uri.toString())),
    vscode.commands.registerCommand("slotlang.restart", async () => {
      await stop();
      await start(status);
    }),
  );
  if (vscode.workspace.isTrusted) {
    await start(status);
  } else {
    context.subscriptions.push(vscode.workspace.onDidGrantWorkspaceTrust(() => start(status)));
  }
};

exports.deactivate = stop;
