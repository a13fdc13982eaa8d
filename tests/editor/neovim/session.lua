-- A session of Neovim 0.7 or newer: a refuted program, its message, a hover, the preferred repair, and its verdict.
-- Run by test_neovim.py: nvim --headless -u NONE -l is newer than 0.7, so that this is sourced with -S.
local command = vim.fn.json_decode(vim.env.SLOTLANG_COMMAND)
local path = vim.env.SLOTLANG_FILE
local statuses = {}

local function say(line)
  io.stdout:write(line .. "\n")
  io.stdout:flush()
end

local function wait(what, condition)
  if not vim.wait(100000, condition, 50) then
    say("gave up: " .. what)
    vim.cmd("cquit 1")
  end
end

local function settled(version)
  return function()
    local last = statuses[#statuses]
    return last ~= nil and last.stage == "settled" and last.version >= version
  end
end

vim.cmd("edit " .. path)
local buffer = vim.api.nvim_get_current_buf()
vim.bo.filetype = "slot"
local client = vim.lsp.start_client({
  name = "slotlang",
  cmd = command,
  root_dir = vim.fn.fnamemodify(path, ":h"),
  handlers = { ["slotlang/status"] = function(_, status) table.insert(statuses, status) end },
})
vim.lsp.buf_attach_client(buffer, client)

wait("the first verdict", settled(0))
local found = vim.diagnostic.get(buffer)
wait("messages", function()
  found = vim.diagnostic.get(buffer)
  return #found > 0
end)
for _, d in ipairs(found) do
  say("message: " .. d.lnum .. ": " .. tostring(d.code or d.user_data.lsp.code))
end

local function ask(method, params)
  local answers = vim.lsp.buf_request_sync(buffer, method, params, 60000) or {}
  for _, answer in pairs(answers) do
    return answer.result
  end
end

vim.api.nvim_win_set_cursor(0, { tonumber(vim.env.SLOTLANG_LINE), 0 })
local hover = ask("textDocument/hover", vim.lsp.util.make_position_params())
say("hover: " .. (hover and hover.contents.value:gsub("\n", " ") or "nothing"))

local at = found[1]
local range = {
  start = { line = at.lnum, character = at.col },
  ["end"] = { line = at.end_lnum, character = at.end_col },
}
local actions = ask("textDocument/codeAction", {
  textDocument = vim.lsp.util.make_text_document_params(),
  range = range,
  context = { diagnostics = {} },
})
for _, action in ipairs(actions or {}) do
  if action.isPreferred then
    say("action: " .. action.title)
    local before = vim.lsp.util.buf_versions[buffer] or 0
    vim.lsp.util.apply_workspace_edit(action.edit, "utf-16")
    statuses = {}
    wait("the second verdict", settled(before + 1))
  end
end
local last = statuses[#statuses]
say("verdict: " .. (last.programs[1] and last.programs[1].verdict or "none"))
wait("no messages", function() return #vim.diagnostic.get(buffer) == 0 end)
say("messages: " .. #vim.diagnostic.get(buffer))
vim.lsp.stop_client(client)
vim.cmd("qall!")
