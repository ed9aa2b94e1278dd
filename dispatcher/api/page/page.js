// Shows openapi.json. Everything is put in as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);

function make(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

// `code` in running text
function prose(text) {
  const node = document.createDocumentFragment();
  (text ?? "").split("`").forEach((part, n) => node.append(n % 2 ? make("code", {}, part) : part));
  return node;
}

function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })));
}

function resolve(api, schema) {
  return schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema ?? {};
}

function kind(schema) {
  if (!schema || !Object.keys(schema).length) return "anything";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  return [schema.type ?? "anything", schema.format].filter(Boolean).join(", ");
}

function limits(schema) {
  const said = [];
  if (schema.minimum !== undefined || schema.maximum !== undefined)
    said.push(`${schema.minimum ?? "…"} to ${schema.maximum ?? "…"}`);
  if (schema.exclusiveMinimum !== undefined) said.push(`more than ${schema.exclusiveMinimum}`);
  if (schema.maxLength) said.push(`at most ${schema.maxLength} characters`);
  if (schema.pattern) said.push(schema.pattern);
  if ("default" in schema && typeof schema.default !== "object") said.push(`default ${schema.default}`);
  return said.join(" · ");
}

function copyable(text) {
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return make("figure", {}, make("pre", {}, text), button);
}

const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

function curl(operation) {
  const given = operation.parameters ?? [];
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) =>
    given.find((one) => one.in === "path" && one.name === name)?.example ?? name);
  const query = given.filter((one) => one.in === "query" && one.required).map((one) => `${one.name}=true`).join("&");
  const lines = [`curl ${operation.method === "get" ? "" : `-X ${operation.method.toUpperCase()} `}` +
    quoted(location.origin + path + (query && `?${query}`))];
  if (operation.security?.length) lines.push(`-H "Authorization: Bearer $TOKEN"`);
  if (operation.operationId === "enqueueMessage") lines.push("-H 'Kubedaemon-Session: customer-17'", "-H 'Prefer: wait=10'");
  const [media, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (media) {
    lines.push(`-H ${quoted(`Content-Type: ${media}`)}`);
    lines.push(`-d ${quoted(content.example ? JSON.stringify(content.example) : media === "application/json" ? "[]" : "hello")}`);
  }
  return lines.join(" \\\n  ");
}

function row(term, under, ...about) {
  return make("div", {}, make("dt", {}, term, under ? make("small", {}, under) : null), make("dd", {}, ...about));
}

function parameters(operation) {
  const rows = (operation.parameters ?? []).map((one) => {
    const more = limits(one.schema);
    return row(make("code", {}, one.name), `${one.in}, ${kind(one.schema)}${one.required ? ", required" : ""}`,
      prose(one.description), more ? make("small", {}, " ", make("code", {}, more)) : null);
  });
  return rows.length ? [make("h4", {}, "Parameters"), make("dl", {}, ...rows)] : [];
}

function fields(api, schema, depth = 0) {
  const shape = resolve(api, schema);
  if (shape.anyOf && depth < 4) {
    const inner = shape.anyOf.map((one) => fields(api, one, depth)).filter(Boolean);
    return inner.length ? make("div", {}, ...inner) : null;
  }
  if (shape.items) return fields(api, shape.items, depth);
  if (!shape.properties) return null;
  const needed = new Set(shape.required ?? []);
  return make("dl", {}, ...Object.entries(shape.properties).map(([name, one]) => {
    const inner = depth < 4 ? fields(api, one, depth + 1) : null;
    return row(make("code", {}, name), kind(one) + (needed.has(name) ? "" : ", may be absent"),
      make("small", {}, limits(one)), inner ? make("details", {}, make("summary", {}, "fields"), inner) : null);
  }));
}

function content(api, media, one) {
  const parts = [make("code", {}, media)];
  const shape = fields(api, one.schema);
  if (one.schema) parts.push(` ${kind(one.schema)}`);
  if (one.example) parts.push(copyable(JSON.stringify(one.example, null, 2)));
  if (shape) parts.push(make("details", {}, make("summary", {}, "All fields"), shape));
  return make("div", {}, ...parts);
}

function requestBody(api, operation) {
  const body = operation.requestBody;
  if (!body) return [];
  return [make("h4", {}, body.required ? "Body" : "Body, may be absent"), make("p", {}, prose(body.description)),
    ...Object.entries(body.content).map(([media, one]) => content(api, media, one))];
}

function problemLinks(response) {
  const types = response.content?.["application/problem+json"]?.schema.properties.type.enum ?? [];
  return types.map((type) => make("a", { href: type, class: "problem" }, type.split("/").pop()));
}

function responses(api, operation) {
  const told = Object.entries(operation.responses);
  const good = told.filter(([status]) => status < 300).map(([status, one]) =>
    row(make("code", {}, status), "", prose(one.description), ...problemLinks(one).map((link) => make("small", {}, " ", link)),
      ...Object.entries(one.headers ?? {}).map(([name, header]) =>
        make("div", {}, make("code", {}, name), " ", prose(header.description))),
      ...Object.entries(one.content ?? {}).filter(([media]) => media !== "application/problem+json")
        .map(([media, inner]) => content(api, media, inner))));
  const bad = told.filter(([status]) => status >= 300).map(([status, one]) =>
    row(make("code", {}, status), "", ...problemLinks(one)));
  return [make("h4", {}, "Answers"), make("dl", {}, ...good), make("h4", {}, "Problems"), make("dl", {}, ...bad)];
}

function article(api, operation) {
  const method = make("span", { class: `method ${operation.method}` }, operation.method);
  return make("article", { id: operation.operationId },
    make("h3", {}, make("a", { href: `#${operation.operationId}` }, operation.summary)),
    make("p", { class: "path" }, method, make("span", {}, operation.path)),
    operation.description ? make("p", {}, prose(operation.description)) : null,
    copyable(curl(operation)), ...parameters(operation), ...requestBody(api, operation), ...responses(api, operation));
}

function show(api) {
  byId("version").textContent = api.info.version;
  const main = byId("main");
  const all = operationsOf(api);
  main.replaceChildren(make("header", {}, make("p", {}, prose(api.info.description)),
    make("p", {}, make("a", { href: "openapi.json" }, "openapi.json"), " is the same for programs.")));
  for (const tag of api.tags) {
    const own = all.filter((operation) => operation.tags.includes(tag.name));
    main.append(make("section", {}, make("h2", {}, tag.name), make("p", {}, prose(tag.description)),
      ...own.map((operation) => article(api, operation))));
    byId("index").append(make("div", {}, make("h2", {}, tag.name), ...own.map((operation) =>
      make("a", { href: `#${operation.operationId}` },
        make("span", { class: `method ${operation.method}` }, operation.method), operation.summary))));
  }
  main.removeAttribute("aria-busy");
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
  find(all);
}

function find(all) {
  const search = byId("search");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/);
    for (const one of all) {
      const text = JSON.stringify([one.summary, one.path, one.method, one.description, one.parameters]).toLowerCase();
      const hidden = !words.every((word) => text.includes(word));
      byId(one.operationId).hidden = hidden;
      document.querySelector(`nav a[href="#${one.operationId}"]`).hidden = hidden;
    }
    for (const group of document.querySelectorAll("section, #index > div"))
      group.hidden = !group.querySelector("article:not([hidden]), a:not([hidden])[href^='#']");
    for (const section of document.querySelectorAll("section"))
      section.hidden = !section.querySelector("article:not([hidden])");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
  });
}

fetch("openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
  byId("main").textContent = `The document could not be read: ${error.message}`;
});
