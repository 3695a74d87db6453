/**
 * Shapes that several modules share. Nothing here runs.
 *
 * @typedef {{p50:?number,p95:?number,p99:?number,avg:?number,min:?number,max:?number,count:number,timed_share?:?number}} Spread milliseconds
 * @typedef {{avg:?number,median:?number,min:?number,max:?number,count:number}} Duration seconds
 * @typedef {{type:string,message:string,timestamp:string,server?:?string,channel?:?string,user?:?string,code?:?number,initiator?:?string,cause?:?string,status?:?number}} ErrorRow
 * @typedef {{
 *   timestamp:string, counting_since:string, uptime_seconds:number, store?:string,
 *   connections:{total:number,peak:number,unrecognised?:?number,created:number,closed:number,by_user:Record<string,number>,by_channel:Record<string,number>,by_server:Record<string,number>,open_age:Duration,handshake:?Spread},
 *   messages:{rate_1m:number,rate_5m:number,rate_15m:number,received:number,sent:number,bytes_received:number,bytes_sent:number,latency:?Spread,queue_wait:?Spread,ping_rtt:?Spread,unpaired:Record<string,number>},
 *   errors:{total:number,rate:number,by_type:Record<string,number>,recent:ErrorRow[],close_codes?:Record<string,{client:number,server:number}>,refused?:Record<string,number>},
 *   connection_duration:Duration,
 *   capture:any
 * }} Metrics what /api/websocket/metrics/ answers (SPEC 4), as far as the page reads it
 *
 * @typedef {{version:string,scope:string,engine:?string,verdict:Record<string,number>}} About
 *
 * One moment or interval, whether from history or from the page's own samples. null: not known, drawn as a gap.
 * @typedef {{t:number,active:?number,opened:?number,closed:?number,received:?number,sent:?number,p50:?number,p95:?number,p99:?number,errors:?Record<string,number>,by_type?:Record<string,number>}} Point
 *   t: seconds; opened, closed, received, sent: per second; errors: per minute; by_type: errors as counted, of history
 *
 * @typedef {{value:?number,low:?number,high:?number}} Expected
 * @typedef {{t:number,active:Expected,rate:Expected}} Ahead an hour that is to come
 *
 * @typedef {{t:number,text:string,type?:string,server?:?string}} Mark an event, to explain a bend in a curve
 * @typedef {{t:number,until:number,cells:{low:number,high:number,count:number}[]}} HeatColumn milliseconds
 *
 * @typedef {{
 *   name:string, open:number, messages:?number, rate:?number, p95:?number, errors:?number, line:(?number)[]
 * }} Row of a table of servers, channels or users
 *
 * @typedef {{
 *   state:import('./state.js').State,
 *   metrics:Metrics,
 *   about:?About,
 *   now:number,
 *   points:Point[], ghost:?Point[], from:number, to:number, live:boolean, why:string,
 *   heat:?HeatColumn[], heatWhy:string,
 *   marks:Mark[], ahead:Ahead[], aheadWhy:string,
 *   trend:Point[], before:?Point,
 *   servers:Row[], channels:Row[], users:Row[],
 *   past:import('./past.js').Past,
 * }} View everything that panels draw from
 *
 * @typedef {{
 *   set:(change:Partial<import('./state.js').State>) => void,
 *   zoom:(from:number,to:number) => void,
 *   unzoom:() => void,
 *   sort:(table:string) => {key:string,down:boolean}|undefined,
 *   setTable:(table:string, sort:string, find:string) => void,
 *   find:(table:string) => string,
 * }} App what panels may ask for
 *
 * @typedef {{node:HTMLElement, update:(view:View)=>void, retheme?:()=>void}} Panel
 */
export {};
