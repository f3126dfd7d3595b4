// closeAll closes what a map has under numbers, and forgets it.
export async function closeAll(made, numbers) {
  for (const number of numbers) {
    await made.get(number)?.close();
    made.delete(number);
  }
}
