// Signs by the generated project's own code: {project, requests: [{keys, method, path, body, timestamp, nonce}, …]} in, headers out.
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const asked = JSON.parse(await new Response(process.stdin).text());
const { signed } = await import(pathToFileURL(join(asked.project, "src", "cgk.js")).href);
console.log(JSON.stringify(asked.requests.map((one) => signed(one.keys, one.method, one.path, one.body, one.timestamp, one.nonce))));
