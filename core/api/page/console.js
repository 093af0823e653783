// SPDX-License-Identifier: Apache-2.0
// The console's page. Its address is /console/ID#TOKEN: the token is exchanged for a cookie, then the log
// and the terminal are streams of their own, each made anew where it was cut.
"use strict";

const base = location.pathname;
const at = (id) => document.getElementById(id);
const channel = {input: 0, output: 1, errors: 2, status: 3, resize: 4, control: 5};
const LOG_LINES = 5000;
let session = null, over = false, active = true;

// xterm.js writes some styles as text, which the policy of this page forbids. The same by CSSOM is allowed.
function allowStyles() {
	const setAttribute = Element.prototype.setAttribute, createElement = document.createElement;

	Element.prototype.setAttribute = function (name, value) {
		if (name === "style")
			this.style.cssText = value;
		else
			setAttribute.call(this, name, value);
	};
	document.createElement = function (name, options) {
		if (name !== "style")
			return createElement.call(document, name, options);
		const element = createElement.call(document, "template"), sheet = new CSSStyleSheet();

		document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
		Object.defineProperty(element, "textContent", {set: (text) => sheet.replaceSync(text)});
		return element;
	};
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function end(title, text) {
	over = true;
	at("over-title").textContent = title;
	at("over-text").textContent = upper(text) + ".";
	if (session)
		at("over-command").textContent = `gantry console ${session.name}`;
	at("over").hidden = false;
	setLink("shut", "closed");
}

function setLink(state, text) {
	at("link").dataset.state = state;
	at("link").textContent = text;
}

let noticeTimer;
function notice(text) {
	at("notice").textContent = text;
	at("notice").hidden = false;
	clearTimeout(noticeTimer);
	noticeTimer = setTimeout(() => { at("notice").hidden = true; }, 6000);
}

// --- the session ---------------------------------------------------------------------------------

function show(told) {
	session = {...session, ...told};
	document.title = `${session.name} – Gantry console`;
	at("name").textContent = session.name;
	at("state").textContent = at("state").dataset.state = told.state || "removed";
	at("image").textContent = [session.image, session.node].filter(Boolean).join(" on ");
}

// The answer's object; null where it cannot be had now. Ends the page where the session is over.
async function ask(options) {
	let reply;

	try {
		reply = await fetch(`${base}/session`, {cache: "no-store", ...options});
	} catch {
		return null;
	}
	const told = await reply.json().catch(() => ({}));
	if (reply.ok)
		return told;
	if (reply.status === 401 || reply.status === 403)
		end(reply.status === 401 ? "This console is closed" : "This address is no good", told.detail || "it is refused");
	return null;
}

async function begin() {
	const token = location.hash.slice(1);

	history.replaceState(null, "", base);
	const told = await ask(token ? {method: "POST", body: JSON.stringify({token})} : {});
	if (told)
		show(told);
	else if (!over)
		end("gantryd cannot be reached", "load the page again, or ask for a new address");
	return Boolean(told);
}

// While somebody is here the session does not grow old.
async function keepFresh() {
	while (!over) {
		await pause(Math.min(15000, session.idle_ms / 3));
		if (!active)
			continue;
		active = false;
		const told = await ask({});
		if (told)
			show(told);
	}
}

// --- the terminal --------------------------------------------------------------------------------

const encoder = new TextEncoder();
let terminal, fit, socket, repeats = false; // what comes first is there already

function send(number, data) {
	const bytes = typeof data === "string" ? encoder.encode(data) : data;
	const message = new Uint8Array(bytes.length + 1);

	if (!socket || socket.readyState !== WebSocket.OPEN)
		return;
	message[0] = number;
	message.set(bytes, 1);
	socket.send(message);
}

const sendObject = (number, object) => send(number, JSON.stringify(object));
const sendSize = () => sendObject(channel.resize, {Width: terminal.cols, Height: terminal.rows});

function type(text) {
	active = true;
	if (session.tty) {
		send(channel.input, text);
	} else { // no terminal at the other end: lines, and nobody else echoes
		const lines = text.replace(/\r/g, "\n");

		if (at("role").dataset.role === "driver")
			terminal.write(lines);
		send(channel.input, lines);
	}
}

function setRole(told) {
	const drives = told.role === "driver", role = at("role");

	role.dataset.role = told.role;
	role.textContent = drives ? "you drive" : told.driver ? `${told.driver} drives, you look on` : "nobody drives";
	at("take").hidden = drives;
	terminal.options.cursorBlink = drives;
	if (drives)
		sendSize();
}

function aside(text) {
	terminal.write(`\r\n\x1b[2m[${text}]\x1b[0m\r\n`);
}

function onMessage(event) {
	const bytes = new Uint8Array(event.data), data = bytes.subarray(1);

	if (bytes[0] === channel.output || bytes[0] === channel.errors)
		return terminal.write(data);
	const told = JSON.parse(new TextDecoder().decode(data));
	if (bytes[0] === channel.status && told.status !== "Success" && told.message)
		notice(upper(told.message));
	else if (told.type === "role")
		setRole(told);
	else if (told.type === "gap")
		aside(`${told.bytes} bytes are left out`);
	else if (told.type === "recording")
		aside(told.goes_on ? "this session is recorded" : `this session is not recorded any more: ${told.why}`);
	else if (told.type === "notice")
		notice(upper(told.text));
}

function attach() {
	const url = `${location.origin.replace(/^http/, "ws")}${base}/attach?scrollback=true`;

	return new Promise((resolve) => {
		socket = new WebSocket(url, ["v1.attach.gantry"]);
		socket.binaryType = "arraybuffer";
		socket.onmessage = onMessage;
		socket.onopen = () => {
			if (repeats)
				terminal.reset();
			repeats = true;
			setLink("open", "connected");
		};
		socket.onclose = (event) => resolve({code: event.code, reason: event.reason, opened: at("link").dataset.state === "open"});
	});
}

async function keepAttached() {
	let wait = 500;

	while (!over) {
		setLink("wait", "connecting");
		const closed = await attach();
		at("role").textContent = "";
		at("role").dataset.role = "";
		at("take").hidden = true;
		if (closed.opened) {
			wait = 500;
			repeats = closed.code !== 1000; // a new process begins anew
			aside(closed.code === 1000 ? "the process has ended" : closed.reason || "the connection is lost");
		}
		if (over)
			break;
		const told = await ask({});
		if (told)
			show(told);
		if (over)
			break;
		setLink(told ? "wait" : "shut", told ? `waiting: ${session.name} is ${told.state || "removed"}` : "gantryd is out of reach");
		await pause(wait);
		wait = Math.min(wait * 2, 8000);
	}
}

function openTerminal() {
	terminal = new Terminal({
		fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
		fontSize: 14, scrollback: 10000, convertEol: !session.tty, cursorBlink: true,
		theme: {background: "#0e1116", foreground: "#d7dde5", cursor: "#6cb6ff", selectionBackground: "#2f5d8a"},
	});
	fit = new FitAddon.FitAddon();
	terminal.loadAddon(fit);
	terminal.open(at("terminal"));
	terminal.onData(type);
	terminal.onBinary((text) => send(channel.input, Uint8Array.from(text, (c) => c.charCodeAt(0))));
	terminal.onResize(sendSize);
	new ResizeObserver(() => at("terminal").clientHeight && fit.fit()).observe(at("terminal"));
	fit.fit();
	terminal.focus();
}

// --- the log -------------------------------------------------------------------------------------

let cursor = "", follows = true;
const filter = () => at("filter").value.toLowerCase();
const fits = (row, text) => !text || row.lastChild.textContent.toLowerCase().includes(text);

function lineText(line) {
	if (line.gap)
		return `… ${line.gap.lines ? `${line.gap.lines} lines are` : "something is"} missing: ${line.gap.why}`;
	if (line.text !== undefined)
		return line.text;
	return new TextDecoder().decode(Uint8Array.from(atob(line.data), (c) => c.charCodeAt(0)));
}

function addLines(lines) {
	const rows = document.createDocumentFragment(), log = at("log"), wanted = filter();

	for (const line of lines) {
		const row = document.createElement("div"), time = document.createElement("time"), text = document.createElement("span");

		cursor = line.cursor;
		row.className = line.gap ? "gap" : line.stream;
		if (line.time) {
			time.dateTime = line.time;
			time.textContent = new Date(line.time).toLocaleTimeString("en-GB");
		}
		text.textContent = lineText(line).replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replace(/\r/g, "");
		row.append(time, text);
		row.hidden = !fits(row, wanted);
		rows.append(row);
	}
	log.append(rows);
	while (log.childElementCount > LOG_LINES)
		log.firstElementChild.remove();
	if (follows)
		log.scrollTop = log.scrollHeight;
}

// Until the stream is over; true: there was one.
async function readLog() {
	const query = cursor ? `&after=${cursor}` : "&tail=1000";
	const reply = await fetch(`${base}/logs?follow=true${query}`, {cache: "no-store"});
	let rest = "";

	if (!reply.ok) {
		const told = await reply.json().catch(() => ({}));

		at("log-link").textContent = told.detail || `refused (${reply.status})`;
		return false;
	}
	at("log-link").textContent = "live";
	const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
	for (;;) {
		const {value, done} = await reader.read();

		if (done)
			return true;
		const lines = (rest + value).split("\n");
		rest = lines.pop();
		addLines(lines.filter(Boolean).map((line) => JSON.parse(line)));
	}
}

async function keepReading() {
	let wait = 500;

	while (!over) {
		const was = cursor, read = await readLog().catch(() => {
			at("log-link").textContent = "cut; trying again";
			return false;
		});
		if (read)
			at("log-link").textContent = "ended";
		wait = read && cursor !== was ? 500 : Math.min(wait * 2, 8000);
		await pause(wait);
	}
}

// --- what can be pressed --------------------------------------------------------------------------

function setFollows(on) {
	follows = on;
	at("follow").setAttribute("aria-pressed", on);
	if (on)
		at("log").scrollTop = at("log").scrollHeight;
}

function setView(view) {
	at("main").dataset.view = view;
	for (const button of document.querySelectorAll("nav button"))
		button.setAttribute("aria-pressed", button.dataset.view === view);
	if (view !== "log") {
		fit.fit();
		terminal.focus();
	}
}

function listen() {
	for (const button of document.querySelectorAll("nav button"))
		button.onclick = () => setView(button.dataset.view);
	at("take").onclick = () => {
		sendObject(channel.control, {type: "take"});
		terminal.focus();
	};
	at("follow").onclick = () => setFollows(!follows);
	at("filter").oninput = () => {
		const wanted = filter();

		for (const row of at("log").children)
			row.hidden = !fits(row, wanted);
	};
	at("log").onscroll = () => {
		const log = at("log"), bottom = log.scrollHeight - log.scrollTop - log.clientHeight < 4;

		if (bottom !== follows)
			setFollows(bottom);
	};
	for (const kind of ["pointermove", "keydown", "wheel"])
		addEventListener(kind, () => { active = true; }, {passive: true});
}

async function main() {
	allowStyles();
	if (!await begin())
		return;
	openTerminal();
	listen();
	keepFresh();
	keepReading();
	keepAttached();
}

main();
