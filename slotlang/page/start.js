"use strict";
// A report has its data in the page; a view asks for it, and sends what is typed.

const given = JSON.parse(byId("data").textContent);
state.mode = given.mode;
if (given.mode === "report") receive(given.data); else startView();
