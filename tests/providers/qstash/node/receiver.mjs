// The vendor's reader of signatures: {current, next, calls: [{signature, body, url}]} in, true or the error's name out.
import { Receiver } from "@upstash/qstash";

const asked = JSON.parse(await new Response(process.stdin).text());
const receiver = new Receiver({ currentSigningKey: asked.current, nextSigningKey: asked.next, devMode: false });
const answers = [];
for (const call of asked.calls) {
  answers.push(
    await receiver.verify(call).then(
      (good) => good,
      (error) => error.name,
    ),
  );
}
process.stdout.write(JSON.stringify(answers));
